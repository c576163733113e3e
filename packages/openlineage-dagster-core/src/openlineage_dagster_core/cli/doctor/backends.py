"""Shows what the option `backend` sets, and finds transports that drop what the options make."""

from collections.abc import Iterator, Sequence

from openlineage_dagster_core.backends import DROPPING_TRANSPORTS, PRESETS
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.delivery.configured import Destination
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.options import ObservationEvents, setting


def check(subject: Subject, destinations: Sequence[Destination]) -> Iterator[Finding]:
    """Show the preset, and check what each transport takes."""
    if subject.instance is None and (subject.has_storage or not subject.sensors):
        return  # The options are not known while the instance cannot be opened
    settings = subject.settings
    if settings.backend is not None:
        name, preset = settings.backend.value, PRESETS[settings.backend]
        own = {each for each in preset if getattr(settings, each) != setting(each, preset)}
        shown = [f"{each} = {_shown(preset[each])}" for each in preset if each not in own]
        yield fine(f"{name} sets {', '.join(shown) or 'nothing that is not the default'}")
        for each in preset:
            if each in own:
                wanted = f"{name} would set {each} = {_shown(preset[each])}"
                yield note(f"{wanted}, but your own {each} counts")
    if settings.observation_events is ObservationEvents.RUN:
        return
    for destination in destinations:
        backend = DROPPING_TRANSPORTS.get(destination.kind)
        if backend is not None and Family.OBSERVATION in settings.families:
            yield warning(
                f"{destination.kind} takes RunEvents only: it drops observations, and they count "
                "as sent",
                f"Set backend: {backend.value}, or observation_events: run.",
            )


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
