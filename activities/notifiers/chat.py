"""Payloads for chats: Slack's incoming webhooks, and Adaptive Cards for Teams.

https://api.slack.com/messaging/webhooks, https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors
"""

from typing import Any

from activities.notifiers.texts import Text

SLACK_TEXT = 2_900  # characters; Slack takes 3,000 in a section
SLACK_HEADER = 150


def slack(text: Text) -> dict[str, Any]:
    """Return the message: `text` is what notifications and old clients show, `blocks` what a channel shows."""
    facts = "\n".join(f"*{_slack(name)}*: {_slack(value)}" for name, value in text.facts)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": text.title[:SLACK_HEADER], "emoji": False}},
        _section(facts),
    ]
    if text.cases:
        blocks.append(_section("\n".join(f"• {_slack(case)}" for case in text.cases)))
    if text.commands:
        blocks.append(_section("```" + "\n".join(map(_slack, text.commands)) + "```", fenced=True))
    blocks.append(_section(f"<{_slack(text.link)}|Open in the Temporal UI>"))
    return {"text": _slack(text.title), "blocks": blocks}


def teams(text: Text) -> dict[str, Any]:
    """Return the message with one card."""
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": _card(text.title), "weight": "Bolder", "size": "Medium", "wrap": True},
        {"type": "FactSet", "facts": [{"title": name, "value": _card(value)} for name, value in text.facts]},
    ]
    body += [{"type": "TextBlock", "text": _card(case), "wrap": True, "spacing": "Small"} for case in text.cases]
    body += [
        {"type": "TextBlock", "text": _card(command), "wrap": True, "fontType": "Monospace", "spacing": "Small"}
        for command in text.commands
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": "Open in the Temporal UI", "url": text.link}],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _section(text: str, *, fenced: bool = False) -> dict[str, Any]:
    if len(text) > SLACK_TEXT:
        text = text[:SLACK_TEXT] + ("…```" if fenced else "…")
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _slack(text: str) -> str:
    """Escape what Slack reads as markup, so that no event can mention a channel or make a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")


def _card(text: str) -> str:
    """Escape what a card reads as markdown."""
    return "".join(f"\\{ch}" if ch in "\\`*_[]()" else ch for ch in text)
