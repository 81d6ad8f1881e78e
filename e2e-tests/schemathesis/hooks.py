"""Extends Schemathesis with the media types of the services, and with a check of batch responses."""

import io
import json
import zipfile

import schemathesis
from hypothesis import strategies


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    """Writes one line per element of an array, as the document describes it. Any other value is one line."""
    values = value if isinstance(value, list) else [value]
    return "".join(json.dumps(value) + "\n" for value in values).encode()


@schemathesis.deserializer("application/x-ndjson")
def parse_lines(context, response):
    """Parses each line of a response as JSON."""
    return [json.loads(line) for line in response.content.splitlines()]


def zip_history(text):
    """Packs a CSV file of the ECB into a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return file.getvalue()


histories = strategies.sampled_from(
    [b"Date,USD,GBP,\n2026-11-02,1.0850,0.8600,\n", b"Date,JPY,\n2026-11-03,163.21,\n2026-11-02,N/A,\n"]
)
schemathesis.openapi.media_type("text/csv", histories)
schemathesis.openapi.media_type("application/zip", histories.map(zip_history))

XML = """<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
 xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><Cube>%s</Cube></gesmes:Envelope>
"""
days = strategies.sampled_from(
    ["<Cube time='2026-11-02'><Cube currency='USD' rate='1.0850'/></Cube>", "<Cube time='2026-11-03'><Cube currency='JPY' rate='163.21'/></Cube>"]
)
schemathesis.openapi.media_type("application/xml", days.map(lambda day: (XML % day).encode()))


def without_fractions(value):
    """Converts floats such as 6.0 to integers.

    For JSON Schema 6.0 is an integer. The services require integers without a decimal point, which a schema cannot say.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [without_fractions(item) for item in value]
    if isinstance(value, dict):
        return {key: without_fractions(item) for key, item in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    return without_fractions(body)


@schemathesis.check
def every_line_has_a_result(context, response, case):
    """The response to a batch has one result per line, either a purchase, a return or a problem."""
    if case.media_type != "application/x-ndjson" or response.status_code != 200 or not isinstance(case.body, list):
        return
    results = parse_lines(None, response)
    assert len(results) == len(case.body), f"{len(case.body)} lines have {len(results)} results"
    for result in results:
        assert ("purchase" in result or "return" in result) == (result["http_status"] in (201, 202)), result
        assert ("problem" in result) == (result["http_status"] in (400, 404, 409, 422)), result
