"""Sensible's operations: the list, single documents, batches with their uploads, document types, reviews."""

from collections.abc import Callable, Sequence
from itertools import islice

from sandbox.api import Answer, Call, Endpoint, Refusal
from sandbox.shared import JsonObject, Unknown, iso, milliseconds

from . import queries
from .access import UPLOAD_PATH, Door
from .extractions import DECISIONS, NEEDS_REVIEW, SensibleDocument, Wanted
from .papers import Papers
from .queries import bad
from .shapes import Shapes
from .world import SensibleWorld

LARGEST_BATCH = 5000
"""Documented."""


class SensibleRoutes:
    """Each method answers one operation."""

    def __init__(self, world: SensibleWorld, papers: Papers) -> None:
        self._world = world
        self._papers = papers
        self._door = Door(world.shared)
        self._shapes = Shapes(world.shared)

    def endpoints(self) -> Sequence[Endpoint]:
        """Upload links are asked for with PUT in the page's text and with GET in its example."""
        operations: list[tuple[str, str, str, Callable[[Call], object]]] = [
            ("extractions", "GET", "/extractions", self._list),
            ("review", "PUT", "/extractions/{id}", self._review),
            ("document", "GET", "/documents/{id}", self._document),
            ("create_batch", "POST", "/extract/batch", self._create_batch),
            ("batch", "GET", "/extract/batch/{id}", self._batch),
            ("describe_batch", "PUT", "/extract/batch/{id}", self._describe_batch),
            ("upload_urls", "PUT", "/extract/batch/upload_urls/{id}/{start}/{end}", self._upload_urls),
            ("upload_urls", "GET", "/extract/batch/upload_urls/{id}/{start}/{end}", self._upload_urls),
            ("document_types", "GET", "/document_types", self._document_types),
            ("document_type", "GET", "/document_types/{id}", self._document_type),
        ]
        opaque = frozenset({"parsed_document", "parsedDocument", "postprocessorOutput"})
        unknown = Answer("Not found: there is no such id", 404)
        return [
            *(
                Endpoint(f"sensible.{name}", method, path, self._behind_door(answer), opaque, unknown=unknown)
                for name, method, path, answer in operations
            ),
            Endpoint("sensible.upload", "PUT", UPLOAD_PATH, self._upload, base_path=""),
        ]

    def _behind_door(self, answer: Callable[[Call], object]) -> Callable[[Call], Answer]:
        def handle(call: Call) -> Answer:
            """That what is unknown gets 404 is a guess, configurations aside."""
            self._door.check(call)
            try:
                return Answer(answer(call), text_as_json=True)
            except Unknown as problem:
                raise Refusal(404, f"Not found: {problem}") from None

        return handle

    def _list(self, call: Call) -> JsonObject:
        """Documented: newest first; the token is null on the last page. `cutoff_date` is deprecated and null."""
        switches, limit = self._world.shared.switches, queries.limit(call)
        if switches.sensible_endless != "no" and self._is_endless(call.query.get("document_type_ids", "")):
            return self._without_end(switches.sensible_endless, limit, call.query.get("continuation_token", ""))
        wanted = queries.wanted(call, self._world.shared.clock.now())
        if switches.sensible_scan:
            by_date = self._world.newest_first(Wanted(first=wanted.first, end=wanted.end))
            scanned = list(islice(by_date, switches.sensible_scan + 1))
            looked_at = scanned[: switches.sensible_scan]
            places = [place for place, view in enumerate(looked_at) if wanted.has(view)][:limit]
            # A page that is full ends with its last row, any other one where it stopped to look.
            last = places[-1] if len(places) == limit else len(looked_at) - 1
            return {
                "extractions": [self._shapes.summary(looked_at[place]) for place in places],
                "continuation_token": queries.token(looked_at[last]) if len(scanned) > last + 1 else None,
                "cutoff_date": None,
            }
        found = list(islice(self._world.newest_first(wanted), limit + 1))
        return {
            "extractions": [self._shapes.summary(view) for view in found[:limit]],
            "continuation_token": queries.token(found[limit - 1]) if len(found) > limit else None,
            "cutoff_date": None,
        }

    def _is_endless(self, type_ids: str) -> bool:
        return type_ids in {"", *(one.type_id for one in self._world.document_types[:1])}

    def _without_end(self, kind: str, limit: int, token: str) -> JsonObject:
        """Not documented, and no server's intention: what a fault of its paging would look like."""
        page = int(token or 0) + 1
        rows: list[JsonObject] = []
        if kind == "rows":
            now = iso(milliseconds(self._world.shared.clock.now()))
            rows = [{"id": f"invented-{page}-{n}", "created": now, "status": "COMPLETE"} for n in range(limit)]
        return {"extractions": rows, "continuation_token": "1" if kind == "circle" else f"{page}", "cutoff_date": None}

    def _document(self, call: Call) -> JsonObject:
        """Documented: 413 for output of more than 6 MB. Its sentence, and 404 for expired content, are guesses."""
        view = self._world.document(call.path["id"])
        if view.purged:
            raise Unknown(f"there is no extraction {view.extraction_id}")
        if view.too_large:
            raise Refusal(413, "The extraction exceeds the maximum response size of 6 MB")
        return self._shapes.document(view)

    def _review(self, call: Call) -> JsonObject:
        """Documented is that reviewers use it, and that a decision is final. Its body and answer are guesses.

        `reviewStatus` is `APPROVED` or `REJECTED`, `parsed_document` what the reviewer made of it; one of them may be
        left out.
        """
        view, body = self._world.document(call.path["id"]), call.body or {}
        decision, parsed = body.get("reviewStatus", NEEDS_REVIEW), body.get("parsed_document")
        if not (parsed is None or isinstance(parsed, dict)) or body.keys().isdisjoint(
            ("reviewStatus", "parsed_document")
        ):
            raise bad("A reviewStatus or a parsed_document is required")
        if "reviewStatus" in body and decision not in DECISIONS:
            raise bad("The reviewStatus must be APPROVED or REJECTED")
        if NEEDS_REVIEW not in [part.review for part in view.parts]:
            raise bad("The extraction does not need a review")
        self._world.review(view.extraction_id, str(decision), parsed)
        return self._shapes.document(self._world.document(view.extraction_id))

    def _create_batch(self, call: Call) -> str:
        """Documented: the answer is the batch's id, nothing else.

        That a file whose name has "damaged" in it cannot be read is the sandbox's own rule.
        """
        body = call.body or {}
        names, portfolio = body.get("documentNames"), body.get("portfolioDocTypes")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise bad("The documentNames are required")
        if len(names) > LARGEST_BATCH:
            raise bad(f"A batch can have at most {LARGEST_BATCH} documents")
        types = portfolio if portfolio is not None else [call.text("docType")]
        if not isinstance(types, list) or not types or not all(isinstance(name, str) for name in types):
            raise bad("Either docType or portfolioDocTypes is required")
        known = {type_.name for type_ in self._world.document_types}
        if not known.issuperset(types):
            raise bad("Specified document type does not exist")
        documents = [
            SensibleDocument(
                name,
                error=self._papers.failure() if "damaged" in name else None,
                portfolio=None if portfolio is None else types,
            )
            for name in names
        ]
        return self._world.batch(documents, types[0], call.text("description") or "")

    def _batch(self, call: Call) -> JsonObject:
        return self._shapes.batch(self._world.batch_view(call.path["id"]))

    def _describe_batch(self, call: Call) -> JsonObject:
        """The page names the key `description`; that the answer is the batch is a guess."""
        description = (call.body or {}).get("description")
        if not isinstance(description, str):
            raise bad("The description is required")
        self._world.describe(call.path["id"], description)
        return self._batch(call)

    def _upload_urls(self, call: Call) -> list[str]:
        """Documented: indices count from zero, and the last one is included (its example asks for 0 to 1)."""
        batch, start, end = self._world.batch_view(call.path["id"]), call.path["start"], call.path["end"]
        if not (start.isdecimal() and end.isdecimal() and int(start) <= int(end) < len(batch.extraction_ids)):
            raise bad("The indices must be a range of the batch's documents")
        chosen = batch.extraction_ids[int(start) : int(end) + 1]
        return [self._door.upload_url(call.base_url, batch.batch_id, one) for one in chosen]

    def _upload(self, call: Call) -> Answer:
        """Documented: no key is needed, and the answer is empty. What was sent is not looked at."""
        self._door.check_upload(call)
        self._world.receive(call.path["id"])
        return Answer("")

    def _document_types(self, _: Call) -> list[JsonObject]:
        return [self._shapes.document_type(type_) for type_ in self._world.document_types]

    def _document_type(self, call: Call) -> JsonObject:
        for type_ in self._world.document_types:
            if type_.type_id == call.path["id"]:
                return self._shapes.document_type(type_)
        raise Unknown(f"there is no document type {call.path['id']}")
