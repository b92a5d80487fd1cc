// What the fake engine has and says of itself: the answers of a small engine, as values that a test may change.

export type SwarmState = 'manager' | 'worker' | 'inactive';

export interface FakeContainer {
  readonly id: string;
  readonly name: string;
  readonly tty: boolean;
  readonly createdSeconds: number;
}

export interface FakeEngineFacts {
  readonly name: string;
  readonly engineId: string;
  readonly swarm: SwarmState;
  readonly nodeId: string;
  readonly version: string;
  readonly apiVersion: string;
  readonly minApiVersion: string;
}

/** The lists that the engine answers with; a test replaces their content at any time. */
export interface FakeEngineState {
  containers: FakeContainer[];
  /** Answered as they are. */
  images: unknown[];
  volumes: unknown;
  networks: unknown[];
  /** Answered instead of the containers, as it is. */
  containerList: unknown;
  /** Size of `GET /images/{name}/get`, which a test downloads. */
  downloadBytes: number;
}

export function createState(): FakeEngineState {
  return {
    containers: [],
    images: [],
    volumes: { Volumes: [], Warnings: null },
    networks: [],
    containerList: undefined,
    downloadBytes: 0,
  };
}

export function containerSummary(container: FakeContainer): Record<string, unknown> {
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: 'busybox:lab',
    ImageID: `sha256:${'b'.repeat(64)}`,
    Command: 'sleep 1000',
    Created: container.createdSeconds,
    Ports: [],
    Labels: {},
    State: 'running',
    Status: 'Up 5 minutes',
    HostConfig: { NetworkMode: 'default' },
    NetworkSettings: { Networks: {} },
    Mounts: [],
  };
}

export function containerInspect(container: FakeContainer): Record<string, unknown> {
  return {
    Id: container.id,
    Name: `/${container.name}`,
    Created: new Date(container.createdSeconds * 1_000).toISOString(),
    State: { Status: 'running', Running: true, ExitCode: 0 },
    Config: { Tty: container.tty, Image: 'busybox:lab', Labels: {} },
    NetworkSettings: { Networks: {} },
    Mounts: [],
  };
}

export function engineInfo(facts: FakeEngineFacts, containers: number): Record<string, unknown> {
  return {
    ID: facts.engineId,
    Name: facts.name,
    ServerVersion: facts.version,
    OperatingSystem: 'Fake Linux',
    OSType: 'linux',
    Architecture: 'x86_64',
    KernelVersion: '6.1.0',
    NCPU: 2,
    MemTotal: 4_294_967_296,
    Containers: containers,
    ContainersRunning: containers,
    Images: 0,
    DockerRootDir: '/var/lib/docker',
    Swarm: swarmInfo(facts),
  };
}

function swarmInfo(facts: FakeEngineFacts): Record<string, unknown> {
  if (facts.swarm === 'inactive') {
    return { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false };
  }
  const common = { NodeID: facts.nodeId, NodeAddr: '127.0.0.1', LocalNodeState: 'active' };
  if (facts.swarm === 'worker') return { ...common, ControlAvailable: false };
  return {
    ...common,
    ControlAvailable: true,
    Managers: 1,
    Nodes: 1,
    Cluster: { ID: 'clusterclusterclusterclus' },
  };
}

export function engineVersion(facts: FakeEngineFacts): Record<string, unknown> {
  return {
    Platform: { Name: 'Fake Engine' },
    Components: [{ Name: 'Engine', Version: facts.version }],
    Version: facts.version,
    ApiVersion: facts.apiVersion,
    MinAPIVersion: facts.minApiVersion,
    Os: 'linux',
    Arch: 'amd64',
  };
}

export function swarmNode(facts: FakeEngineFacts): Record<string, unknown> {
  return {
    ID: facts.nodeId,
    Spec: { Role: facts.swarm, Availability: 'active' },
    Description: { Hostname: facts.name },
    Status: { State: 'ready', Addr: '127.0.0.1' },
    ...(facts.swarm === 'manager' && { ManagerStatus: { Leader: true, Reachability: 'reachable' } }),
  };
}
