"""docs/metrics, made from the explanations that the pages show, so that the two cannot differ."""

from __future__ import annotations

from experiments.metric_explanations import EXPLANATIONS, GROUPS, Explanation


def metric_documents() -> dict[str, str]:
    """File name and content of every document: one for each metric, and README.md, which lists them."""
    documents = {f"{name}.md": _document(one) for name, one in EXPLANATIONS.items()}
    return documents | {"README.md": _index()}


def _document(explanation: Explanation) -> str:
    keys = ", ".join(f"`{key}`" for key in (explanation.name, *explanation.keys))
    return (
        f"# {explanation.title}\n\n{explanation.meaning}\n\n"
        f"**Formula:** {explanation.formula}\n\n**Tokens:** {explanation.tokens}\n\n"
        f"**What good looks like:** {explanation.good}\n\n**Other tools:** {explanation.elsewhere}\n\n"
        f"**In the JSON:** {keys}\n\n[All metrics](README.md)\n"
    )


def _index() -> str:
    parts = ["# Metrics\n\nMade by `manage.py document_metrics` from what the pages of the workbench say.\n"]
    for title, group in GROUPS.items():
        lines = [f"* [{one.title}]({name}.md): {one.formula}" for name, one in group.items()]
        parts.append(f"\n## {title}\n\n" + "\n".join(lines) + "\n")
    return "".join(parts)
