"""What Schemathesis does not know by itself: media types, and how this system reads them."""

import io
import json
import zipfile

import schemathesis
from hypothesis import strategies


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """The document describes the lines as an array. What is none is sent as one line."""
    values = value if isinstance(value, list) else [value]
    return "".join(json.dumps(value) + "\n" for value in values).encode()


@schemathesis.deserializer("application/x-ndjson")
def array(context, response):
    return [json.loads(line) for line in response.content.splitlines()]


def zipped(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return file.getvalue()


histories = strategies.sampled_from(
    [b"Date,USD,GBP,\n2026-11-02,1.0850,0.8600,\n", b"Date,JPY,\n2026-11-03,163.21,\n2026-11-02,N/A,\n"]
)
schemathesis.openapi.media_type("text/csv", histories)
schemathesis.openapi.media_type("application/zip", histories.map(zipped))

XML = """<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
 xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><Cube>%s</Cube></gesmes:Envelope>
"""
days = strategies.sampled_from(
    ["<Cube time='2026-11-02'><Cube currency='USD' rate='1.0850'/></Cube>", "<Cube time='2026-11-03'><Cube currency='JPY' rate='163.21'/></Cube>"]
)
schemathesis.openapi.media_type("application/xml", days.map(lambda day: (XML % day).encode()))


def whole(value):
    """To JSON Schema 6.0 is an integer. Here integers are written without a point, and no schema can say that."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    return whole(body)


@schemathesis.check
def every_line_is_answered(context, response, case):
    """By a purchase or by a problem."""
    if case.media_type != "application/x-ndjson" or response.status_code != 200 or not isinstance(case.body, list):
        return
    answers = array(None, response)
    assert len(answers) == len(case.body), f"{len(case.body)} lines have {len(answers)} answers"
    for answer in answers:
        assert ("purchase" in answer) == (answer["http_status"] in (201, 202)), answer
        assert ("problem" in answer) == (answer["http_status"] in (400, 409, 422)), answer
