"""A run spread over a Dask cluster's workers: the local run's numbers, and what may go wrong."""

import socket
import sys

import pytest
from test_bench_run import bench, encoded, images, rows  # noqa: F401  # fixtures

import npeg.dask_cluster
from npeg.bench.codecs import find_codec
from npeg.bench.metrics import METRICS
from npeg.bench.run import cluster
from npeg.bench.run.measure import Failure, Task, measure_all
from npeg.bench.run.photos import find_photos
from npeg.bench.run.runner import Plan, run_plan
from npeg.bench.run.store import Store
from npeg.errors import InputError

distributed = pytest.importorskip("distributed", reason='needs Dask: pip install "npeg[dask]"')


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster whose two workers are threads of this process."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp"
    ) as made:
        yield made.scheduler_address


def run(images, store, engine=None, codecs=("jpeg", "png"), metrics=("psnr", "ssimulacra2")):  # noqa: F811
    plan = Plan(
        find_photos([images]), [find_codec(c) for c in codecs], [METRICS[m] for m in metrics], [50]
    )
    return run_plan(plan, store, 1, engine=engine)


def test_the_numbers_are_those_of_the_local_run(scheduler, images, tmp_path):  # noqa: F811
    with Store(tmp_path / "local.sqlite") as here, Store(tmp_path / "dask.sqlite") as there:
        local = run(images, here)
        spread = run(images, there, cluster.dask_engine(scheduler, 1))
    assert len(local.results) == 4
    assert spread.results == local.results
    assert spread.failures == []


def test_an_interrupted_run_goes_on(scheduler, images, tmp_path):  # noqa: F811
    engine = cluster.dask_engine(scheduler, 1)
    asked = []

    def interrupted(tasks):
        yield next(engine(tasks))
        raise KeyboardInterrupt

    def counted(tasks):
        asked.extend(tasks)
        return engine(tasks)

    with Store(tmp_path / "s.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            run(images, store, interrupted)
        assert len(run(images, store, counted).results) == 4
    assert len(asked) == 3


def test_a_codec_that_fails_is_reported_and_the_run_goes_on(
    scheduler,
    images,  # noqa: F811
    encoded,  # noqa: F811
    tmp_path,
):
    engine = cluster.dask_engine(scheduler, 1)
    with Store(tmp_path / "s.sqlite") as store:
        outcome = run(images, store, engine, ["raises", "lies", "png"], ["psnr"])
    assert sorted({failure.reason for failure in outcome.failures}) == [
        "600 pixels differ after decoding, expected none: it is lossless",
        "864 pixels differ after decoding, expected none: it is lossless",
        "no luck",
    ]
    assert len(outcome.results) == 2


def test_the_command_starts_workers_and_survives_those_that_die(images, encoded, tmp_path, capsys):  # noqa: F811
    options = ["--codecs", "dies,png", "--metrics", "psnr,time", "--repeats", "1"]
    command = ["--images", images, "--out", tmp_path / "out", *options]
    assert bench(*command, "--engine", "dask") == 1
    err = capsys.readouterr().err
    for name in (0, 1):
        assert f"failed: dies at quality 100 on {name}.png: the process died\n" in err
    done = rows(tmp_path / "out" / "results.tsv")
    assert [row["image"] for row in done] == ["mean", "0.png", "1.png"]
    assert all(float(row["encode_time_s"]) > 0 for row in done)  # taken here


def test_a_worker_that_is_not_like_this_process_is_named(scheduler, images, tmp_path, monkeypatch):  # noqa: F811
    versions = iter(["Pillow 99", "Pillow 98", "Pillow 98"])
    monkeypatch.setattr(
        cluster, "_versions", lambda codecs, metrics: {"png": next(versions), "metric psnr": "1"}
    )
    with (
        Store(tmp_path / "s.sqlite") as store,
        pytest.raises(InputError, match="has Pillow 98, expected Pillow 99"),
    ):
        run(images, store, cluster.dask_engine(scheduler, 1), ["png"], ["psnr"])


def test_a_worker_that_came_late_is_checked_too(images, encoded):  # noqa: F811
    plan = Plan(find_photos([images]), [find_codec("raw")], [])
    task = Task(next(iter(plan.points())), ("psnr",))
    packed = cluster._pack(task.point.photo)
    assert cluster._measure_there(task, *packed) == next(measure_all([task], 1))[1]
    cluster._version.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAW_VERSION", "raw 7")
        late = cluster._measure_there(task, *packed)
    cluster._version.cache_clear()
    assert late == Failure(task.point, "a Dask worker has raw 7, expected raw 1")


@pytest.mark.parametrize("address", ["", "localhost:{port}", "no-such-protocol://x"])
def test_a_scheduler_that_does_not_answer_gets_one_clear_line(
    address,
    images,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.setattr(npeg.dask_cluster, "TIMEOUT_S", 0.3)
    with socket.socket() as taken:
        taken.bind(("localhost", 0))  # bound, but nobody listens
        where = address.format(port=taken.getsockname()[1]) or "tcp://localhost:1"
        command = ["--images", images, "--out", tmp_path / "out", "--codecs", "png"]
        status = bench(*command, "--engine", "dask", "--scheduler", where)
    assert status == 1
    assert capsys.readouterr().err == f"npeg: no Dask scheduler answers at {where}\n"


def test_a_scheduler_without_workers_gets_one_clear_line(images, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(npeg.dask_cluster, "TIMEOUT_S", 3)
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0", protocol="tcp"
    ) as empty:
        command = ["--images", images, "--out", tmp_path / "out", "--codecs", "png"]
        scheduler = ["--scheduler", empty.scheduler_address]
        assert bench(*command, "--metrics", "psnr", "--engine", "dask", *scheduler) == 1
    assert capsys.readouterr().err == "npeg: the Dask scheduler has no workers\n"


def test_without_dask_the_command_to_install_it_is_named(images, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(npeg.dask_cluster, "find_spec", lambda name: None)
    command = ["--images", images, "--out", tmp_path / "out", "--codecs", "png"]
    assert bench(*command, "--metrics", "psnr", "--engine", "dask") == 1
    assert capsys.readouterr().err == ('npeg: --engine dask needs Dask: pip install "npeg[dask]"\n')
