"""The parts that an experiment's time is divided into, by the modules it is spent in; the first that fits counts."""

from __future__ import annotations

from benchmarks.sampling import Rule

EVALUATION, HARVEST, IMPORT = "engine/evaluation.py", "engine/harvest.py", "services/catalogue.py"
TEXT, CAPTURE = "engine/window_making.py", "engine/corpus_source.py"
FORWARD = "engine/language_model.py"
REST = "everything else"
FIRST_PAGE, CLICK = "first page of the catalogue", "the request (form to row)"
IMPORTS = "importing libraries"

RULES = (
    Rule(IMPORTS, ("<frozen importlib._bootstrap>",)),
    Rule("metric writes", ("experiments/progress.py",)),
    Rule("checkpoint writes", ("engine/checkpoints.py",)),
    Rule("evaluation: predictions, whole model", (FORWARD, EVALUATION, "engine/splice_quality.py")),
    Rule("evaluation: comparing predictions", ("engine/splice_quality.py", EVALUATION)),
    Rule("evaluation: concepts", ("engine/concept_quality.py", EVALUATION)),
    Rule("evaluation: forward", (FORWARD, EVALUATION)),
    Rule("evaluation: codes and numbers", (EVALUATION,)),
    Rule("harvest: forward", (FORWARD, HARVEST)),
    Rule("harvest: encode", ("engine/sae.py", HARVEST)),
    Rule("harvest: collecting", ("engine/activation_spill.py", HARVEST), ("add",)),
    Rule("harvest: sort", ("engine/activation_spill.py", HARVEST)),
    Rule("harvest: summaries", ("engine/feature_statistics.py", HARVEST)),
    Rule("harvest: logit lens and neighbours", ("engine/feature_directions.py", HARVEST)),
    Rule("harvest: files", ("engine/index_tables.py", HARVEST)),
    Rule("harvest: token texts", ("engine/text_tokenizer.py", HARVEST)),
    Rule("harvest: rest", (HARVEST,)),
    Rule("import: examples from the index", ("features/activation_index/", IMPORT)),
    Rule("import: rows into the database", ("db/models/query.py", IMPORT)),
    Rule("import: rest", (IMPORT,)),
    Rule("text: writing the built-in corpus", ("engine/builtin_documents.py", TEXT)),
    Rule("text: tokenizing", ("engine/text_tokenizer.py", TEXT)),
    Rule("text: windows", (TEXT,)),
    Rule("text: windows", ("engine/corpus.py",)),
    Rule("loading the model", ("engine/model_loading.py",)),
    Rule("capture: forward", (FORWARD, CAPTURE)),
    Rule("capture: waiting", ("threading.py", CAPTURE), ("wait",)),
    Rule("capture: hand-over", (CAPTURE,)),
    Rule("training: start of the weights", ("engine/training.py",), ("start_training",)),
    Rule("training: steps", ("engine/trainer.py", "engine/training.py")),
    Rule("training: batches", ("engine/training.py",)),
    Rule("training: threshold and files", ("engine/learning.py",)),
)
ORDER = (CLICK, *dict.fromkeys(rule.part for rule in RULES), FIRST_PAGE, REST)
