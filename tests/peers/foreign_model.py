"""Explains a model that is not ours: an ONNX network behind the Open Inference Protocol.

    python3 foreign_model.py PROGRAM

The server runs the network by onnxruntime and speaks the protocol by the messages of Triton's own client
library, so neither is our code. PROGRAM is `lifecast`; its values are held against Shapley values summed here
from the definition, over the background that it says it took. Needs onnx, onnxruntime, tritonclient[grpc].
"""

import itertools
import json
import math
import subprocess
import sys
import tempfile
from concurrent import futures
from pathlib import Path

import grpc
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import service_pb2, service_pb2_grpc

N_COLUMNS, N_HIDDEN, N_OUTPUTS, N_ROWS = 7, 9, 3, 60
COLUMNS = [f"column {at}" for at in range(N_COLUMNS)]
# What the definition gives in 64 bits against a network in 32.
GAP_MAX = 1e-5


def network(random):
    """Two layers and a softmax, with random weights."""
    draw = lambda name, *shape: numpy_helper.from_array(random.normal(size=shape).astype("float32"), name)
    weights = [draw("w1", N_COLUMNS, N_HIDDEN), draw("b1", N_HIDDEN), draw("w2", N_HIDDEN, N_OUTPUTS), draw("b2", N_OUTPUTS)]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("Gemm", ["t", "w2", "b2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    tensor = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
    graph = helper.make_graph(nodes, "turns", [tensor("x", N_COLUMNS)], [tensor("p", N_OUTPUTS)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One model, `turns`. Answers raw bytes, as Triton does, or typed contents, as others do; with noise, if any."""

    def __init__(self, session, is_raw):
        self.session, self.is_raw, self.n_rows = session, is_raw, 0
        self.noise, self.random = 0.0, numpy.random.default_rng(8)

    def ModelMetadata(self, request, context):
        if request.name != "turns":
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.name}")
        of = lambda name, width: {"name": name, "datatype": "FP32", "shape": [-1, width]}
        return service_pb2.ModelMetadataResponse(
            name="turns", versions=["1"], inputs=[of("x", N_COLUMNS)], outputs=[of("p", N_OUTPUTS)]
        )

    def ModelInfer(self, request, context):
        (tensor,) = request.inputs
        rows = numpy.array(tensor.contents.fp32_contents, "float32").reshape(list(tensor.shape))
        self.n_rows += len(rows)
        (answer,) = self.session.run(["p"], {"x": rows})
        answer += self.noise * self.random.normal(size=answer.shape).astype("float32")
        response = service_pb2.ModelInferResponse(model_name="turns", model_version="1")
        output = response.outputs.add(name="p", datatype="FP32", shape=answer.shape)
        if self.is_raw:
            response.raw_output_contents.append(answer.astype("<f4").tobytes())
        else:
            output.contents.fp32_contents.extend(answer.ravel().tolist())
        return response


def shapley(session, rows, row, told):
    """From the definition, over all coalitions."""
    weights = numpy.array(told["background_weights"])
    others = rows[told["background"]]
    value = {}
    for members in itertools.chain.from_iterable(itertools.combinations(range(N_COLUMNS), n) for n in range(N_COLUMNS + 1)):
        mixed = others.copy()
        mixed[:, list(members)] = rows[row, list(members)]
        (answer,) = session.run(["p"], {"x": mixed})
        value[frozenset(members)] = weights @ answer.astype("float64")
    values = numpy.zeros((N_OUTPUTS, N_COLUMNS))
    for player in range(N_COLUMNS):
        for members, worth in value.items():
            if player not in members:
                n = len(members)
                share = math.factorial(n) * math.factorial(N_COLUMNS - n - 1) / math.factorial(N_COLUMNS)
                values[:, player] += share * (value[members | {player}] - worth)
    return values, value[frozenset()]


def attribute(program, url, table, row, *more):
    command = [program, "attribute", "--server", url, "--rows", str(table), "--row", str(row), "--json", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def main():
    program = sys.argv[1]
    random = numpy.random.default_rng(7)
    session = network(random)
    rows = random.normal(size=(N_ROWS, N_COLUMNS)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.csv"
        lines = [",".join(COLUMNS)] + [",".join(repr(float(x)) for x in row) for row in rows]
        table.write_text("\n".join(lines) + "\n")
        for is_raw in (True, False):
            ours = Server(session, is_raw)
            server = grpc.server(futures.ThreadPoolExecutor(2))
            service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(ours, server)
            url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            server.start()
            said = attribute(program, url, table, 11, "--model", "turns")
            assert said.returncode == 0, said.stderr
            told = json.loads(said.stdout)
            values, base = shapley(session, rows, 11, told)
            found = numpy.array([one["values"] for one in told["attributions"]])
            gap = numpy.abs(found - values).max()
            assert gap <= GAP_MAX, (gap, found, values)
            assert numpy.abs(base - [one["base_value"] for one in told["attributions"]]).max() <= GAP_MAX
            assert told["n_evaluations"] == ours.n_rows, (told["n_evaluations"], ours.n_rows)
            print(f"{'raw' if is_raw else 'typed'} answers: values within {gap:.1e} of the definition, {ours.n_rows} rows asked")
            unknown = attribute(program, url, table, 0, "--model", "mug")
            assert unknown.returncode not in (0, 5) and "no model mug" in unknown.stderr, unknown
            sampled = attribute(program, url, table, 3, "--model", "turns", "--evaluations-max", "400", "--method", "leverage")
            assert sampled.returncode == 0, sampled.stderr
            told = json.loads(sampled.stdout)
            for one, answer in zip(told["attributions"], told["answers"]):
                assert abs(one["base_value"] + sum(one["values"]) - answer) < 1e-9 * max(1, abs(answer)), one
            ours.noise = 0.05
            noisy = attribute(program, url, table, 11, "--model", "turns")
            assert noisy.returncode == 3 and "the same row alike" in noisy.stderr, noisy
            server.stop(None).wait()
            gone = attribute(program, url, table, 0, "--model", "turns")
            assert gone.returncode == 4, gone
    print("a model that is gone, one that is not there, and one with noise, are told")


if __name__ == "__main__":
    main()
