#!/usr/bin/env python3
"""Makes a container in Azurite, by its well-known account.

    azurite_container.py PORT NAME
"""
import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.request

port, name = sys.argv[1:3]
account = "devstoreaccount1"
key = base64.b64decode(
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
date, version = email.utils.formatdate(usegmt=True), "2021-08-06"
text = "\n".join(
    ["PUT"]
    + [""] * 11
    + [f"x-ms-date:{date}\nx-ms-version:{version}\n/{account}/{account}/{name}\nrestype:container"]
)
signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
headers = {
    "x-ms-date": date,
    "x-ms-version": version,
    "Authorization": f"SharedKey {account}:{signature}",
    "Content-Length": "0",
}
url = f"http://127.0.0.1:{port}/{account}/{name}?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers))
