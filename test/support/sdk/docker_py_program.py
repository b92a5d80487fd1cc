"""A program as people write it with docker-py. Says what each call gave, as JSON, without what differs from run to run.

Usage: docker_py_program.py <docker host> <node on which things are to be> <name that nothing else has>
"""

import io
import json
import sys
import tarfile
import time

import docker

host, node, unique = sys.argv[1:]
image = "busybox:lab"
labels = {"flotilla.node": node, "sdk": unique}
ours = {"label": f"sdk={unique}"}
results = {}
# docker-py loses what comes in one piece with the head of a hijack's answer.
later = "sleep 0.3;"


def main():
    client = docker.DockerClient(base_url=host, version="auto", timeout=20)
    begun = int(time.time())
    system(client)
    volume = client.volumes.create(f"{unique}-data", labels=labels)
    network = client.networks.create(f"{unique}-net", labels=labels)
    create = dict(labels=labels, volumes={volume.name: {"bind": "/data"}})
    box = client.containers.create(
        image, ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"], name=f"{unique}-box", **create
    )
    lifecycle(client, box)
    executions(client, box)
    files(box)
    networks(client, network, box)
    images(client, box)
    attachments(client)
    lists(client, box, volume)
    disk(client)
    ends(client, box)
    removals(client, network, volume)
    history(client, begun)
    print(json.dumps(results))


def system(client):
    results["ping"] = client.ping()
    version = client.version()
    results["version"] = {key: version[key] for key in ("ApiVersion", "MinAPIVersion", "Os", "Arch", "Version")}
    info = client.info()
    results["info"] = [info[key] for key in ("OSType", "Architecture", "Driver", "ServerVersion", "KernelVersion")]


def lifecycle(client, box):
    results["create"] = [len(box.id), box.status, box.labels]
    box.start()
    box.reload()
    results["start"] = box.status
    while box.logs().count(b"\n") < 2:
        pass  # The engine takes what is written as it comes; whoever runs this has a deadline.
    results["logs"] = [
        box.logs(stdout=True, stderr=False).decode(),
        box.logs(stdout=False, stderr=True).decode(),
        sorted(box.logs(tail=2).decode().split()),
    ]
    followed = client.api.logs(box.id, stream=True, follow=True, stderr=False)
    results["logs followed"] = next(followed).decode()
    followed.close()
    results["top"] = [process[-1] for process in box.top()["Processes"]]
    results["stats"] = sorted(box.stats(stream=False))
    box.pause()
    box.reload()
    results["pause"] = box.status
    box.unpause()
    results["update"] = box.update(mem_limit="64m", memswap_limit="64m")
    box.rename(f"{unique}-renamed")
    results["rename"] = client.containers.get(f"{unique}-renamed").name
    results["get by prefix"] = client.containers.get(box.id[:20]).id == box.id


def executions(client, box):
    code, output = box.exec_run(["sh", "-c", f"{later} echo said; echo wrong >&2; exit 5"], demux=True)
    results["exec"] = [code, [part.decode() for part in output]]
    stream = box.exec_run(["sh", "-c", f"{later} for i in 1 2 3; do echo $i; sleep 0.1; done"], stream=True).output
    results["exec stream"] = b"".join(stream).decode()
    made = client.api.exec_create(box.id, ["cat"], stdin=True)
    channel = client.api.exec_start(made["Id"], socket=True)
    channel._sock.sendall(b"typed into it\n")
    channel._sock.shutdown(1)
    results["exec socket"] = read_all(channel)
    found = client.api.exec_inspect(made["Id"])
    while found["Running"]:  # The engine hears of the end a moment after the last output.
        found = client.api.exec_inspect(made["Id"])
    results["exec inspect"] = [found["ContainerID"] == box.id, found["ExitCode"], found["ProcessConfig"]["entrypoint"]]


def files(box):
    content = b"bytes\x00\xff" * 100_000
    results["put archive"] = box.put_archive("/data", tar_of("file", content))
    pieces, stat = box.get_archive("/data/file")
    archive = tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))
    results["get archive"] = [archive.extractfile("file").read() == content, stat["name"], stat["size"]]
    results["diff"] = sorted(change["Path"] for change in box.diff() or [])
    exported = tarfile.open(fileobj=io.BytesIO(b"".join(box.export())))
    results["export"] = "bin/busybox" in exported.getnames()


def networks(client, network, box):
    network.connect(box, aliases=["alias"])
    network.reload()
    results["connect"] = [[each.name for each in network.containers], network.attrs["Labels"]]
    box.reload()
    results["connected"] = sorted(box.attrs["NetworkSettings"]["Networks"])
    network.disconnect(box)
    network.reload()
    results["disconnect"] = network.containers


def images(client, box):
    made = box.commit(f"{unique}/made", tag="1")
    results["commit"] = made.tags
    results["tag"] = made.tag(f"{unique}/made", tag="2")
    again = client.images.get(f"{unique}/made:2")
    results["image inspect"] = [again.id == made.id, sorted(again.tags)]
    results["images"] = [sorted(each.tags) for each in client.images.list(name=f"{unique}/made")]
    results["history"] = len(made.history())
    saved = tarfile.open(fileobj=io.BytesIO(b"".join(made.save())))
    results["save"] = "manifest.json" in saved.getnames()
    client.images.remove(f"{unique}/made:2")
    results["untag"] = client.images.get(f"{unique}/made:1").tags
    client.images.remove(f"{unique}/made:1")
    results["image removed"] = refusal(lambda: client.images.get(f"{unique}/made:1"))


def attachments(client):
    made = client.api.create_container(
        image, ["sh", "-c", "cat; exit 3"], stdin_open=True, name=f"{unique}-cat", labels=labels
    )
    channel = client.api.attach_socket(made["Id"], {"stdin": 1, "stdout": 1, "stream": 1})
    client.api.start(made["Id"])
    channel._sock.sendall(b"typed\n")
    channel._sock.shutdown(1)
    results["attach"] = read_all(channel)
    results["wait"] = client.api.wait(made["Id"])


def lists(client, box, volume):
    listed = client.containers.list(all=True, filters=ours)
    results["list"] = [[each.name, each.status, each.labels] for each in listed]
    results["list of what runs"] = [each.name for each in client.containers.list(filters=ours)]
    results["list limited"] = [each.name for each in client.containers.list(limit=1, filters=ours)]
    results["list since"] = [
        each.name for each in client.containers.list(all=True, since=box.id, filters=ours)
    ]
    results["bad filter"] = refusal(lambda: client.containers.list(filters={"no-such": "filter"}))
    results["volumes"] = [[each.name, each.attrs["Labels"]] for each in client.volumes.list(filters=ours)]
    results["volume"] = client.volumes.get(volume.name).attrs["Driver"]
    results["networks"] = [[each.name, each.attrs["Labels"]] for each in client.networks.list(filters=ours)]


def disk(client):
    found = client.df()
    results["df"] = [
        sorted(key for key in found if key != "BuilderSize"),
        sorted(each["Names"][0] for each in found["Containers"] if unique in each["Names"][0]),
        [each["Name"] for each in found["Volumes"] if unique in each["Name"]],
    ]


def ends(client, box):
    box.kill("SIGKILL")
    results["kill"] = box.wait()["StatusCode"]
    box.restart(timeout=1)
    box.stop(timeout=1)
    box.reload()
    results["stop"] = [box.status, box.attrs["State"]["ExitCode"]]
    results["remove while used"] = refusal(lambda: client.volumes.get(f"{unique}-data").remove())[:2]
    pruned = client.containers.prune(filters=ours)
    results["prune"] = [len(pruned["ContainersDeleted"]), pruned["SpaceReclaimed"] >= 0]
    results["pruned"] = refusal(lambda: client.containers.get(f"{unique}-renamed"))


def removals(client, network, volume):
    network.remove()
    volume.remove()
    results["network removed"] = refusal(lambda: client.networks.get(f"{unique}-net"))
    results["volume removed"] = refusal(lambda: client.volumes.get(f"{unique}-data"))


def history(client, begun):
    events = client.events(since=begun, until=int(time.time()) + 1, filters=ours, decode=True)
    results["events"] = [
        [event["Type"], event["Action"].split(":")[0], event["Actor"]["Attributes"].get("sdk") == unique]
        for event in events
    ]


def read_all(channel):
    """The standard output that comes in frames until the other side ends."""
    said = b""
    while True:
        head = channel.read(8)
        if not head:
            return said.decode()
        said += channel.read(int.from_bytes(head[4:], "big"))


def tar_of(name, content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def refusal(call):
    try:
        call()
    except docker.errors.APIError as error:
        return [type(error).__name__, error.status_code, error.explanation]
    return "no refusal"


main()
