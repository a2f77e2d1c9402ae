"""Holds the manifests of this folder against the schemas of Kubernetes, JobSet and Kubeflow Trainer.

    pip install kubernetes-validate kubeflow-trainer-api pyyaml
    python3 validate.py

Prints one line a manifest; the first that is wrong ends it.
"""

import pathlib
import sys

import kubernetes_validate
import yaml
from kubeflow_trainer_api import models

CUSTOM = {
    "JobSet": models.JobsetV1alpha2JobSet,
    "TrainingRuntime": models.TrainerV1alpha1TrainingRuntime,
    "TrainJob": models.TrainerV1alpha1TrainJob,
}


def jobs(manifest):
    """The Jobs in a JobSet or a runtime: custom resources hold them as they are."""
    spec = manifest["spec"] if manifest["kind"] == "JobSet" else manifest["spec"].get("template", {}).get("spec", {})
    for job in spec.get("replicatedJobs", []):
        yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job["name"]}, **job["template"]}


def unknown(model, given, path=""):
    """Keys that a model does not know: it leaves them out, the API server would refuse them."""
    kept = model.from_dict(given).to_dict()

    def walk(given, kept, path):
        if isinstance(given, dict) and isinstance(kept, dict):
            for key, value in given.items():
                if key not in kept and value not in ({}, [], None):
                    yield f"{path}.{key}"
                elif key in kept:
                    yield from walk(value, kept[key], f"{path}.{key}")
        elif isinstance(given, list) and isinstance(kept, list):
            for place, pair in enumerate(zip(given, kept)):
                yield from walk(*pair, f"{path}[{place}]")

    return list(walk(given, kept, path))


def main():
    n_manifests = 0
    for file in sorted(pathlib.Path(__file__).parent.glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            kind = manifest["kind"]
            if kind in CUSTOM:
                wrong = unknown(CUSTOM[kind], manifest)
                if wrong:
                    sys.exit(f"{file.name}: {kind}: unknown {', '.join(wrong)}")
                for job in jobs(manifest):
                    # The pod's labels and the like are optional; a Job's own schema is strict.
                    kubernetes_validate.validate(job, "1.33", strict=True)
            else:
                kubernetes_validate.validate(manifest, "1.33", strict=True)
            n_manifests += 1
            print(f"{file.name}: {kind} {manifest['metadata']['name']}")
    if not n_manifests:
        sys.exit("no manifest was found")


if __name__ == "__main__":
    main()
