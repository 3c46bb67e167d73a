# An S3 server with one bucket, in memory, until standard input ends. Its address is the first line that it prints.
#
# moto takes whatever is signed; so each signature is made once more here, by AWS' own library, and has to be the same.
import hashlib, io, sys, threading, types
from urllib.parse import parse_qsl, urlencode, quote

# Who may do what is asked of a part of moto that needs compiled libraries; here everybody who signs may do everything.
iam, models, control = (types.ModuleType(f"moto.iam{name}") for name in ("", ".models", ".access_control"))
models.mark_account_as_visited = lambda *_, **__: None
models.get_account_id_from = lambda *_, **__: "123456789012"
control.S3IAMRequest = None
control.PermissionResult = control.IAMPolicy = types.SimpleNamespace(PERMITTED=1, DENIED=2, NEUTRAL=3)
sys.modules.update({module.__name__: module for module in (iam, models, control)})

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.s3.models import s3_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

KEYS, BUCKET = Credentials("the-key", "the-secret"), "images"


def wrong(request):
    """What is wrong with a request's signature, if anything is."""
    host, path = request.headers["Host"], quote(request.path, safe="/~-._")
    query = parse_qsl(request.query_string.decode(), keep_blank_values=True)
    lent = dict(query).get("X-Amz-Signature")
    if lent:
        query = [pair for pair in query if pair[0] != "X-Amz-Signature"]
        auth, names, date, signature = S3SigV4QueryAuth(KEYS, "s3", "us-east-1", 1), ["host"], dict(query)["X-Amz-Date"], lent
    else:
        said = request.headers.get("Authorization", "")
        if not said.startswith("AWS4-HMAC-SHA256 Credential=the-key/"):
            return "nobody signed this"
        parts = dict(part.strip().split("=", 1) for part in said.split(" ", 1)[1].split(","))
        names, signature, date = parts["SignedHeaders"].split(";"), parts["Signature"], request.headers["X-Amz-Date"]
        auth, payload = S3SigV4Auth(KEYS, "s3", "us-east-1"), request.headers["X-Amz-Content-SHA256"]
        if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(request.get_data()).hexdigest():
            return "the body is not what was signed"
    url = f"http://{host}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    again = AWSRequest(request.method, url, {name: request.headers[name] for name in names})
    again.context["timestamp"] = date
    canonical = auth.canonical_request(again)
    if auth.signature(auth.string_to_sign(again, canonical), again) != signature:
        return f"the signature is another: {canonical}"


def keys():
    """The names of all that is stored, and of what has begun to be."""
    bucket = s3_backends["123456789012"]["aws"].buckets[BUCKET]
    return [*bucket.keys.keys(), *(f"parts of {part.key_name}" for part in bucket.multiparts.values())]


class Checked:
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environment, start):
        request = Request(environment)
        if request.path == "/keys":
            return Response("\n".join(keys()))(environment, start)
        # Read once here, and to be read once more behind.
        environment["wsgi.input"] = io.BytesIO(request.get_data())
        why = None if request.path == f"/{BUCKET}" and request.method == "PUT" else wrong(request)
        if why:
            error = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{why}</Message></Error>"
            return Response(error, 403, content_type="application/xml")(environment, start)
        return self.inner(environment, start)


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, Checked(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
from urllib.request import Request as Ask, urlopen

date = "AWS4-HMAC-SHA256 Credential=the-key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
urlopen(Ask(f"http://127.0.0.1:{server.server_port}/{BUCKET}", method="PUT", headers={"Authorization": date}))
print(f"127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
