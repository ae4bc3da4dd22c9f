"""Verbs of those who write rules: policy init, new, fmt, lint, test, build. Nothing here is put in force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import comparing, exit_codes, mutating
from evoguard.cli.authoring_pages import built_page, files_page, lint_page, tested_page
from evoguard.cli.session import Session, verb
from evoguard.cli.text import facts, line

Tested = tuple[Mapping[str, object], list[tuple[str, str, str]]]
"""The answer, and its cases: class, name, why it failed."""
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of policies, as `policy init` makes one.")]
Opa = Annotated[
    Path | None,
    typer.Option("--opa", metavar="FILE", help="OPA; else EVOGUARD_OPA, the newest of the tool cache, PATH."),
]
TEST_FORMATS = ("text", "junit")
LINT_FORMATS = ("text", "sarif", "github", "junit")


def attach(policy: typer.Typer) -> None:
    """Add this file's verbs to `policy`."""
    verb(policy, "init", example="evoguard policy init rules\nevoguard policy init rules --from /tmp/bundle")(
        policy_init
    )
    example = (
        "evoguard policy new change.too_late --in rules\nevoguard policy new change.odd --in rules --severity note"
    )
    verb(policy, "new", example=example)(policy_new)
    verb(policy, "fmt", example="evoguard policy fmt rules\nevoguard policy fmt rules --check")(policy_fmt)
    example = "evoguard policy lint rules\nevoguard policy lint rules --format sarif > lint.sarif"
    verb(policy, "lint", example=example)(policy_lint)
    example = "evoguard policy test rules\nevoguard policy test rules --format junit > rules.xml\nevoguard policy test"
    verb(policy, "test", example=example)(policy_test)
    example = (
        "evoguard policy build rules --out /tmp/bundle\nevoguard policy build rules --out /tmp/bundle --sign-with ci"
    )
    verb(policy, "build", example=example)(policy_build)
    verb(policy, "verify", example="evoguard policy verify /tmp/bundle --key ci.pub")(policy_verify)
    mutating.attach(policy)
    comparing.attach(policy)


def policy_init(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that is empty or not there yet.")],
    *,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="BUNDLE", help="A bundle's folder; else the one that ships.")
    ] = None,
) -> int:
    """Write the sources of a bundle into a new folder, to start your own policies from."""
    from evoguard.wiring import authoring

    doc = authoring.init(folder, source)
    session.answer(doc, lambda: files_page(doc, "next: `evoguard policy new`, `lint`, `test`, `build`"))
    return exit_codes.DONE


def policy_new(
    session: Session,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The rule's code, area.name.")],
    *,
    folder: Annotated[Path, typer.Option("--in", metavar="FOLDER", help="A folder of policies.")],
    severity: Annotated[
        str, typer.Option("--severity", metavar="deny|escalate|note", help="Refuse, ask for people's eyes, or inform.")
    ] = "deny",
) -> int:
    """Write a rule, its tests and its METADATA from a template, and list its code in data.json."""
    from evoguard.wiring import authoring

    doc = authoring.new(code, folder, severity)
    session.answer(doc, lambda: files_page(doc, f"next: write the rule, then `evoguard policy test {folder}`"))
    return exit_codes.DONE


def policy_fmt(
    session: Session,
    folder: Folder,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a file is not formatted.")] = False,
    opa: Opa = None,
) -> int:
    """Lay out every Rego file as `opa fmt` does."""
    from evoguard.wiring import authoring

    doc = authoring.fmt(folder, opa, check=check)
    said = "not formatted" if check else "formatted"
    session.answer(doc, lambda: files_page(doc, f"{len(cast('list[str]', doc['files']))} {said}"))
    return exit_codes.ERROR if check and doc["files"] else exit_codes.DONE


def policy_lint(
    session: Session,
    folder: Folder,
    *,
    form: Annotated[
        str, typer.Option("--format", metavar="text|sarif|github|junit", help="How to print; --json is one more way.")
    ] = "text",
    opa: Opa = None,
) -> int:
    """Say everything that is wrong in a folder of policies; exit 1 when there is anything.

    OPA's strict check with the schema of questions and the allowed builtins, the format, METADATA, data.json, the
    exemptions, the scan rules, and the tests: each rule's own tests must turn red when it never fires, and when it
    always does. Regal's checks are added where a `regal` is found.
    """
    from evoguard.wiring import authoring

    chosen = one_of(form, LINT_FORMATS, session)
    found = authoring.linted(folder, opa)
    if chosen == "text":
        session.answer(found.as_json(), lambda: lint_page(found.as_json()))
    else:
        from evoguard.authoring import reports

        prefix = reports.from_repository(folder)
        if chosen == "sarif":
            print(reports.sarif(found.problems, prefix))
        elif chosen == "github":
            line_each(reports.github(found.problems, prefix))
        else:
            print(reports.junit("policy lint", reports.cases_of(found.problems, prefix)))
    return exit_codes.ERROR if found.problems else exit_codes.DONE


def policy_test(
    session: Session,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A folder of policies, tested and measured by OPA.")
    ] = None,
    *,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="FOLDER", help="A bundle, whose compiled tests are run; else the one in force."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="text|junit", help="How to print; --json is one more way.")
    ] = "text",
    opa: Opa = None,
) -> int:
    """Run the rules' own tests: of a folder of policies, else of a compiled bundle, which needs no OPA.

    Of a folder the tests must also cover the rules: 100 % of the lines of a constitution rule, 90 % of any other file;
    and each set of findings of a rule must be needed by its tests. `fires`: a test turns red when the set is always
    empty. `silent`: a test turns red when it always holds a finding. Coverage is measured when all tests are green.
    """
    from evoguard.errors import InputError

    chosen = one_of(form, TEST_FORMATS, session)
    if folder is not None and bundle is not None:
        raise InputError("a folder and --bundle name two things to test", code="usage", fix="leave one of them out")
    doc, cases = _folder_tests(folder, opa) if folder is not None else _bundle_tests(session, bundle)
    if chosen == "junit":
        from evoguard.authoring import reports

        print(reports.junit("policy test", cases))
    else:
        session.answer(doc, lambda: tested_page(doc))
    return exit_codes.DONE if doc["ok"] else exit_codes.ERROR


def _folder_tests(folder: Path, opa: Path | None) -> Tested:
    from evoguard.cli.progress import progress
    from evoguard.wiring import authoring

    with progress("running the rule tests"):
        found = authoring.tested(folder, opa)
    cases = [(test.file, test.name, f"{test.file}:{test.line}: {test.why}" if test.why else "") for test in found.tests]
    cases += [("coverage", one.file, "; ".join(one.problems)) for one in found.files]
    return found.as_json(), cases


def _bundle_tests(session: Session, bundle: Path | None) -> Tested:
    from evoguard.cli.progress import progress
    from evoguard.wiring import proofs, rulebook

    place, which = (bundle, "as named") if bundle is not None else rulebook.other_side(session.settings())
    with progress("compiling and running the rule tests"):
        results = proofs.rule_tests(session.settings(), place)
    failed = [name for name, passed in results if not passed]
    doc = {
        "ok": bool(results) and not failed,
        "passed": len(results) - len(failed),
        "failed": len(failed),
        "bundle": proofs.rules(place)["digest"],
        "bundle_is": which,
        "tests": [{"name": name, "passed": passed} for name, passed in results],
    }
    cases = [("bundle", name, "" if passed else "it is false, undefined or gave no answer") for name, passed in results]
    return doc, cases


def policy_build(
    session: Session,
    folder: Folder,
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the bundle goes: a new folder, or an older bundle's.")
    ],
    sign_with: Annotated[
        Path | None, typer.Option("--sign-with", metavar="KEY", help="Sign the bundle's digest with a private key.")
    ] = None,
    opa: Opa = None,
) -> int:
    """Compile a folder of policies to a bundle: rules, tests, data, scan rules, sources, and a digest as its name."""
    from evoguard.cli.progress import progress
    from evoguard.wiring import authoring

    with progress("compiling the rules"):
        doc = authoring.build(folder, out, opa, sign_with=sign_with)
    session.answer(doc, lambda: built_page(doc))
    return exit_codes.DONE


def policy_verify(
    session: Session,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A built bundle's folder.")],
    *,
    key: Annotated[Path, typer.Option("--key", metavar="PUB", help="The builder's public key, from whom you trust.")],
) -> int:
    """Verify a bundle as a stranger would: each file by its digest, and the signature over them with your key."""
    from evoguard.cli.files import KEY_BYTES, contents
    from evoguard.wiring import authoring

    doc = authoring.verify(bundle, contents(key, "the public key", KEY_BYTES))
    session.answer(doc, lambda: facts([("verified", doc["bundle"]), ("signed with", doc["key"])]))
    return exit_codes.DONE


def one_of(form: str, known: tuple[str, ...], session: Session) -> str:
    """Return a format that is known. Raises: InputError, also for --json beside a format other than text."""
    from evoguard.errors import InputError

    if form not in known:
        raise InputError(
            f"--format: {form[:40]!r} is not known", code="usage", fix=f"one of {', '.join(known)}, or --json"
        )
    if session.json and form != "text":
        raise InputError("--json and --format name two formats", code="usage", fix="leave one of them out")
    return form


def line_each(text: str) -> None:
    """Print a text whose lines are made safe one by one."""
    for row in text.split("\n") if text else ():
        line(row)
