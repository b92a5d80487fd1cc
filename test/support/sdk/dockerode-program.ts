// A program as people write it with dockerode. Says what each call gave, without what differs from run to run.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import Docker from 'dockerode';
import { eventually } from '../eventually.ts';
import { busyboxImage } from '../lab/images.ts';

export type Results = Readonly<Record<string, unknown>>;

export interface ProgramOptions {
  readonly socketPath: string;
  /** On which all things are to be. */
  readonly node: string;
  /** Nothing else has this name. */
  readonly unique: string;
}

interface Work extends ProgramOptions {
  readonly docker: Docker;
  readonly labels: Readonly<Record<string, string>>;
  /** What is ours. */
  readonly filters: { readonly label: readonly string[] };
  readonly results: Record<string, unknown>;
}

const frameHeadBytes = 8;

export async function runDockerodeProgram(options: ProgramOptions): Promise<Results> {
  const docker = new Docker({ socketPath: options.socketPath, version: 'v1.41' });
  const labels = { 'flotilla.node': options.node, sdk: options.unique };
  const filters = { label: [`sdk=${options.unique}`] };
  const work: Work = { ...options, docker, labels, filters, results: {} };
  const since = Math.floor(Date.now() / 1_000);
  await system(work);
  const volume = `${work.unique}-data`;
  await docker.createVolume({ Name: volume, Labels: labels });
  const network = await docker.createNetwork({ Name: `${work.unique}-net`, Labels: labels });
  const box = await docker.createContainer({
    name: `${work.unique}-box`,
    Image: busyboxImage,
    Cmd: ['sh', '-c', 'echo out; echo err >&2; exec sleep 1000'],
    Labels: labels,
    HostConfig: { Binds: [`${volume}:/data`] },
  });
  await lifecycle(work, box);
  await executions(work, box);
  await files(work, box);
  await networks(work, network, box);
  await images(work, box);
  await attachments(work);
  await lists(work);
  await ends(work, box);
  await network.remove();
  await docker.getVolume(volume).remove();
  work.results['removed network'] = await refusal(docker.getNetwork(`${work.unique}-net`).inspect());
  await history(work, since);
  return work.results;
}

async function system({ docker, results }: Work): Promise<void> {
  results.ping = String(await docker.ping());
  const { ApiVersion, MinAPIVersion, Os, Arch, Version } = await docker.version();
  results.version = { ApiVersion, MinAPIVersion, Os, Arch, Version };
  const { OSType, Architecture, Driver, ServerVersion } = await docker.info();
  results.info = { OSType, Architecture, Driver, ServerVersion };
}

async function lifecycle({ docker, unique, results }: Work, box: Docker.Container): Promise<void> {
  await box.start();
  const { State, Config, Name } = await box.inspect();
  results.inspect = [State.Status, Config.Labels, Name];
  // The engine takes what is written as it comes.
  results.logs = await eventually(async () => {
    const said = framesIn(await box.logs({ stdout: true, stderr: true, follow: false }));
    assert.ok(said.every((text) => text !== ''));
    return said;
  });
  const followed = await box.logs({ stdout: true, follow: true });
  results['logs followed'] = framesIn(await firstOf(followed));
  const top = (await box.top()) as { readonly Processes: readonly (readonly string[])[] };
  results.top = top.Processes.map((process) => process.at(-1));
  results.stats = Object.keys(await box.stats({ stream: false })).toSorted();
  await box.pause();
  results.pause = (await box.inspect()).State.Status;
  await box.unpause();
  results.update = await box.update({ Memory: 67_108_864, MemorySwap: 67_108_864 });
  await box.rename({ name: `${unique}-renamed` });
  results.rename = (await docker.getContainer(`${unique}-renamed`).inspect()).Name;
}

async function executions({ results }: Work, box: Docker.Container): Promise<void> {
  const script = 'cat; echo wrong >&2; exit 5';
  const attached = { AttachStdin: true, AttachStdout: true, AttachStderr: true };
  const exec = await box.exec({ Cmd: ['sh', '-c', script], ...attached });
  const stream = await exec.start({ hijack: true, stdin: true });
  stream.end('typed into it\n');
  results.exec = framesIn(await buffer(stream));
  // The engine hears of the end a moment after the last output.
  const { ExitCode, ContainerID } = await eventually(async () => {
    const seen = await exec.inspect();
    assert.equal(seen.Running, false);
    return seen;
  });
  results['exec inspect'] = [ExitCode, ContainerID === box.id];
  const plain = await box.exec({ Cmd: ['echo', 'said'], AttachStdout: true });
  results['exec without hijack'] = framesIn(await buffer(await plain.start({})));
}

async function files({ results }: Work, box: Docker.Container): Promise<void> {
  await box.putArchive(Readable.from([tarOf('file', 'content of the file')]), { path: '/data' });
  const archive = await buffer(await box.getArchive({ path: '/data/file' }));
  results.archive = archive.includes('content of the file');
  results['archive head'] = Object.keys(
    // Its answer has no body, only headers; the types know no more.
    (await box.infoArchive({ path: '/data/file' })) as object,
  ).length;
  results.changes = String(await box.changes());
  results.export = (await buffer(await box.export())).includes('bin/busybox');
}

async function networks({ results }: Work, network: Docker.Network, box: Docker.Container): Promise<void> {
  await network.connect({ Container: box.id });
  const { Containers = {}, Labels } = await network.inspect();
  results.connect = [Object.keys(Containers).length, Labels];
  results.connected = Object.keys((await box.inspect()).NetworkSettings.Networks).length;
  await network.disconnect({ Container: box.id });
  results.disconnect = Object.keys((await network.inspect()).Containers ?? {});
}

async function images({ docker, unique, results }: Work, box: Docker.Container): Promise<void> {
  const repo = `${unique}/made`;
  await box.commit({ repo, tag: '1' });
  await docker.getImage(`${repo}:1`).tag({ repo, tag: '2' });
  results.tag = (await docker.getImage(`${repo}:2`).inspect()).RepoTags.toSorted();
  const listed = await docker.listImages({ filters: { reference: [repo] } });
  results.images = listed.map(({ RepoTags = [] }) => RepoTags.toSorted());
  results.history = (await docker.getImage(`${repo}:1`).history()).length;
  results.save = (await buffer(await docker.getImage(`${repo}:1`).get())).includes('manifest.json');
  for (const tag of ['2', '1']) await docker.getImage(`${repo}:${tag}`).remove();
  results['removed image'] = await refusal(docker.getImage(`${repo}:1`).inspect());
}

async function attachments({ docker, unique, labels, results }: Work): Promise<void> {
  const cat = await docker.createContainer({
    name: `${unique}-cat`,
    Image: busyboxImage,
    Cmd: ['sh', '-c', 'cat; exit 3'],
    Labels: labels,
    OpenStdin: true,
    StdinOnce: true,
  });
  const stream = await cat.attach({ stream: true, stdin: true, stdout: true, hijack: true });
  await cat.start();
  const waiting = cat.wait();
  stream.end('typed\n');
  results.attach = framesIn(await buffer(stream));
  results.wait = await waiting;
}

async function lists({ docker, filters, unique, results }: Work): Promise<void> {
  // The types want arrays that may be written to.
  const own = { label: [...filters.label] };
  const listed = await docker.listContainers({ all: true, filters: own });
  results.list = listed.map(({ Names, State, Labels }) => [Names, State, Labels]);
  results['list limited'] = (await docker.listContainers({ limit: 1, filters: own })).map(
    ({ Names }) => Names,
  );
  results['bad filter'] = await refusal(docker.listContainers({ filters: { 'no-such': ['filter'] } }));
  const { Volumes } = await docker.listVolumes({ filters: own });
  results.volumes = Volumes.map(({ Name, Labels }) => [Name, Labels]);
  const found = await docker.listNetworks({ filters: own });
  results.networks = found.map(({ Name, Labels }) => [Name, Labels]);
  // The types do not know what is in it.
  const df = (await docker.df()) as { readonly Containers: readonly { readonly Names: readonly string[] }[] };
  const names = df.Containers.flatMap(({ Names }) => Names).filter((name) => name.includes(unique));
  results.df = [Object.keys(df).toSorted(), names.toSorted()];
}

async function ends({ docker, filters, unique, results }: Work, box: Docker.Container): Promise<void> {
  await box.restart({ t: 0 });
  await box.kill();
  results.kill = await box.wait();
  results.start = await refusal(docker.getContainer(`${unique}-nobody`).start());
  const own = { label: [...filters.label] };
  const { ContainersDeleted } = await docker.pruneContainers({ filters: own });
  results.prune = ContainersDeleted?.length;
  results.pruned = await refusal(docker.getContainer(`${unique}-renamed`).inspect());
}

async function history({ docker, filters, results }: Work, since: number): Promise<void> {
  const until = Math.ceil(Date.now() / 1_000);
  const own = { label: [...filters.label] };
  const stream = await docker.getEvents({ since, until, filters: own });
  const lines = (await buffer(stream)).toString().trim().split('\n');
  results.events = lines.map((line) => {
    const { Type, Action } = JSON.parse(line);
    return `${Type} ${String(Action).split(':')[0]}`;
  });
}

/** Standard output and standard error, apart. */
function framesIn(body: Buffer): readonly [string, string] {
  const said: [string, string] = ['', ''];
  for (let at = 0; at + frameHeadBytes <= body.length; ) {
    const end = at + frameHeadBytes + body.readUInt32BE(at + 4);
    said[body[at] === 2 ? 1 : 0] += body.toString('utf8', at + frameHeadBytes, end);
    at = end;
  }
  return said;
}

async function firstOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  for await (const piece of stream) return Buffer.from(piece);
  return Buffer.alloc(0);
}

async function refusal(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return 'no refusal';
  } catch (error) {
    // What dockerode throws carries the answer.
    const { statusCode, json } = error as { readonly statusCode?: number; readonly json?: unknown };
    return [statusCode, json];
  }
}

/** A tar file with one file in it (POSIX ustar). */
function tarOf(name: string, content: string): Buffer {
  const head = Buffer.alloc(512);
  head.write(name, 0);
  head.write('0000644\0', 100);
  head.write('0000000\0', 108);
  head.write('0000000\0', 116);
  head.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  head.write('00000000000\0', 136);
  head.write('        0', 148);
  head.write('ustar\0', 257);
  head.write('00', 263);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padded = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  padded.write(content);
  return Buffer.concat([head, padded, Buffer.alloc(1_024)]);
}
