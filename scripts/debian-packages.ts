// Sees that the Debian packages which the lab, its tests, the demo and the bench need are there.
// Installs what is missing when root on Debian; otherwise says what to install.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** The command, or else the file, that shows that a package is there, and its name. */
export type DebianPackage =
  | { readonly command: string; readonly name: string }
  | { readonly file: string; readonly name: string };

/** What a real Swarm on one machine needs. */
export const labPackages: readonly DebianPackage[] = [
  { command: 'dockerd', name: 'docker.io' },
  { command: 'docker', name: 'docker-cli' },
  { command: 'iptables', name: 'iptables' },
  { command: 'ip', name: 'iproute2' },
  { command: 'busybox', name: 'busybox-static' },
];

/** Docker clients that the tests run against a Swarm, and the browser that they drive. */
export const clientPackages: readonly DebianPackage[] = [
  { command: 'docker-compose', name: 'docker-compose' },
  { file: '/usr/lib/python3/dist-packages/docker/__init__.py', name: 'python3-docker' },
  { command: 'chromium', name: 'chromium' },
];

/** A real SSH server, for tunnels to it, and what makes its keys and passwords. */
export const tunnelPackages: readonly DebianPackage[] = [
  { command: 'sshd', name: 'openssh-server' },
  { command: 'ssh', name: 'openssh-client' },
  { command: 'openssl', name: 'openssl' },
];

/** Go's own SSH library and the websocket beside it, from which chisel servers are built. */
export const goPackages: readonly DebianPackage[] = [
  { command: 'go', name: 'golang-go' },
  {
    file: '/usr/share/gocode/src/golang.org/x/crypto/ssh/server.go',
    name: 'golang-golang-x-crypto-dev',
  },
  {
    file: '/usr/share/gocode/src/github.com/gorilla/websocket/server.go',
    name: 'golang-github-gorilla-websocket-dev',
  },
];

const installTimeoutMs = 280_000;
const folders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Installs what is missing. Throws an error that names the packages when it cannot. */
export function ensurePackages(packages: readonly DebianPackage[] = labPackages): void {
  const missing = missingPackages(packages);
  if (missing.length === 0) return;
  const advice = `install them with: apt-get install ${missing.join(' ')}`;
  if (!existsSync('/etc/debian_version'))
    throw new Error(`missing ${missing.join(', ')}, and this is not Debian`);
  if (process.getuid?.() !== 0)
    throw new Error(`missing ${missing.join(', ')}, and this is not root: ${advice}`);
  process.stderr.write(`installing Debian packages: ${missing.join(' ')}\n`);
  apt(['update', '--quiet=2']);
  apt(['install', '--yes', '--quiet=2', '--no-install-recommends', ...missing.filter(isKnown)]);
  const still = missingPackages(packages);
  if (still.length > 0) throw new Error(`still missing after installing: ${still.join(', ')}`);
}

/** `docker.io` brings the client too up to Debian 12; later the client is a package of its own. */
function missingPackages(packages: readonly DebianPackage[]): readonly string[] {
  return packages.filter((each) => !isThere(each)).map(({ name }) => name);
}

function isThere(wanted: DebianPackage): boolean {
  if ('file' in wanted) return existsSync(wanted.file);
  return folders.some((folder) => existsSync(`${folder}/${wanted.command}`));
}

function isKnown(name: string): boolean {
  const { stdout } = spawnSync('apt-cache', ['policy', name], {
    encoding: 'utf8',
    timeout: installTimeoutMs,
  });
  return /Candidate: (?!\(none\))/.test(stdout);
}

function apt(args: readonly string[]): void {
  const { status, error } = spawnSync('apt-get', args, {
    // Its words are for whoever watches, not part of our output.
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    timeout: installTimeoutMs,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (status !== 0) throw new Error(`apt-get ${args.join(' ')} ended with ${status}`, { cause: error });
}

if (import.meta.main) {
  try {
    ensurePackages([...labPackages, ...clientPackages, ...tunnelPackages]);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
