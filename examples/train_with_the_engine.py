"""Train an SAE with the engine alone: no database, no web server. Each `# %%` is a cell, as in a notebook.

    python examples/train_with_the_engine.py [FOLDER]

A minute or so on two idle cores. The SAE then explains about four fifths of the variance in
the middle layer of the built-in model, and the last cell shows which features fire on a word.
"""

# %% What to train: on the model and the corpus that ship, 512 features of which 4 fire on a token
import sys
from pathlib import Path

from experiments.engine import builtin, pipeline
from experiments.engine.artifacts import ExperimentFolder
from experiments.engine.config import CorpusConfig, ExperimentConfig, ModelConfig, SaeConfig, TrainingConfig
from experiments.engine.job import Job
from experiments.engine.model_loading import load_language_model
from experiments.engine.sae import load_sae

folder, model_folder = (
    Path(sys.argv[1] if len(sys.argv) > 1 else "var/example"),
    Path(builtin.__file__).parent / "model",
)
model, corpus, sae = ModelConfig("builtin", "builtin"), CorpusConfig("builtin", "builtin"), SaeConfig("topk", 512, 4)
training = TrainingConfig(tokens=100_000, batch_tokens=256, learning_rate=5e-3)
amounts = {"evaluation_tokens": 20_000, "splice_tokens": 4_000, "harvest_tokens": 20_000}
config = ExperimentConfig(model, corpus, layer=2, sae=sae, training=training, **amounts)

# %% Train, measure, and index what every feature fires on
for record in pipeline.run(Job(config, folder, str(model_folder), None, folder / "cache", "cpu", threads=2)):
    print(record)

# %% Which features fire on the last token of a text?
language_model, trained = load_language_model(model_folder), load_sae(ExperimentFolder(folder))
(states,) = language_model.hidden_states(language_model.tokenizer.encode(["On Monday"])[0][None], [config.place])
print(trained.encode(states[0, -1:]).to_numpy())
