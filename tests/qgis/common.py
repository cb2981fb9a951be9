"""What the QGIS scripts share: an application without a screen, its own empty profile, one JSON answer."""

import json
import os
import sys
import tempfile

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Nothing of the machine's user is read or written, and no cache survives the run.
_profile = tempfile.TemporaryDirectory()
for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "QGIS_CUSTOM_CONFIG_PATH"):
    os.environ[name] = _profile.name

from qgis.core import QgsApplication  # noqa: E402  (the environment comes first)


def run(main):
    """Runs `main` inside QGIS and prints what it returns, as JSON, on the last line."""
    QgsApplication.setPrefixPath("/usr", True)
    application = QgsApplication([], False)
    application.initQgis()
    result = main(*sys.argv[1:])
    print(json.dumps(result, ensure_ascii=False), flush=True)
    # Providers' threads are not waited for: leaving QGIS 3.22 in order may crash it.
    os._exit(0)
