// Every route of the Engine API, v1.24 to v1.56, and what is known of it: the only source for routing, merging, timeouts
// and docs/ROUTES.md. Templates and their order are the engine's own, so that matching agrees with it to the letter.

import type { DeadlineClass, Route, RouteMethod, Sensitivity, StreamClass, Where } from './route.ts';

export interface RouteFamily {
  readonly title: string;
  readonly routes: readonly Route[];
}

type Line = readonly [
  method: RouteMethod,
  path: string,
  where: Where,
  stream: StreamClass,
  deadline: DeadlineClass,
  sensitivity: Sensitivity,
];

const local: Where = { kind: 'local' };
const manager: Where = { kind: 'manager' };
const container: Where = { kind: 'owner', resource: 'container', param: 'id' };
const exec: Where = { kind: 'owner', resource: 'exec', param: 'id' };
const image: Where = { kind: 'owner', resource: 'image', param: 'name' };
const volume: Where = { kind: 'owner', resource: 'volume', param: 'name' };
const network: Where = { kind: 'owner', resource: 'network', param: 'id' };
const containerInQuery: Where = { kind: 'owner-in-query', resource: 'container', param: 'container' };
const containerInBody: Where = { kind: 'owner-in-body', resource: 'container' };

// A volume's options can hold the password of a network share, so reading volumes reveals; making one with the local
// driver can bind any folder of the host (attack A-22).
export const routeFamilies: readonly RouteFamily[] = [
  family('System', [
    ['GET', '/_ping', { kind: 'merge', what: 'ping' }, 'short', 'short', 'open'],
    ['HEAD', '/_ping', { kind: 'merge', what: 'ping' }, 'short', 'short', 'open'],
    ['GET', '/version', { kind: 'merge', what: 'version' }, 'short', 'slow', 'open'],
    ['GET', '/info', { kind: 'merge', what: 'info' }, 'short', 'slow', 'reveals'],
    ['GET', '/events', { kind: 'merge', what: 'events' }, 'endless', 'none', 'read'],
    ['GET', '/system/df', { kind: 'merge', what: 'df' }, 'short', 'slow', 'reveals'],
    ['POST', '/auth', local, 'short', 'slow', 'secrets'],
  ]),
  family('Containers', [
    // Before DELETE /containers/{id:.*}, which would take it, as in the engine.
    ['DELETE', '/containers/{id}/checkpoints/{checkpoint}', container, 'short', 'slow', 'host-root'],
    ['GET', '/containers/{id:.*}/checkpoints', container, 'short', 'short', 'read'],
    ['POST', '/containers/{id:.*}/checkpoints', container, 'short', 'slow', 'host-root'],
    ['GET', '/containers/json', { kind: 'merge', what: 'containers' }, 'short', 'list', 'read'],
    ['POST', '/containers/create', { kind: 'create', what: 'container' }, 'short', 'slow', 'host-root'],
    ['POST', '/containers/prune', { kind: 'prune', what: 'containers' }, 'short', 'slow', 'changes'],
    ['GET', '/containers/{id:.*}/json', container, 'short', 'short', 'reveals'],
    ['GET', '/containers/{id:.*}/top', container, 'short', 'short', 'reveals'],
    ['GET', '/containers/{id:.*}/changes', container, 'short', 'slow', 'reveals'],
    ['GET', '/containers/{id:.*}/logs', container, 'endless', 'none', 'reveals'],
    ['GET', '/containers/{id:.*}/stats', container, 'endless', 'none', 'read'],
    ['GET', '/containers/{id:.*}/export', container, 'endless', 'none', 'reveals'],
    ['HEAD', '/containers/{id:.*}/archive', container, 'short', 'short', 'reveals'],
    ['GET', '/containers/{id:.*}/archive', container, 'endless', 'none', 'reveals'],
    ['PUT', '/containers/{id:.*}/archive', container, 'endless', 'none', 'host-root'],
    ['POST', '/containers/{id:.*}/copy', container, 'endless', 'none', 'reveals'],
    ['POST', '/containers/{id:.*}/attach', container, 'hijack', 'none', 'host-root'],
    ['GET', '/containers/{id:.*}/attach/ws', container, 'hijack', 'none', 'host-root'],
    ['POST', '/containers/{id:.*}/start', container, 'short', 'slow', 'changes'],
    ['POST', '/containers/{id:.*}/stop', container, 'endless', 'none', 'changes'],
    ['POST', '/containers/{id:.*}/restart', container, 'endless', 'none', 'changes'],
    ['POST', '/containers/{id:.*}/kill', container, 'short', 'short', 'changes'],
    ['POST', '/containers/{id:.*}/pause', container, 'short', 'short', 'changes'],
    ['POST', '/containers/{id:.*}/unpause', container, 'short', 'short', 'changes'],
    ['POST', '/containers/{id:.*}/rename', container, 'short', 'short', 'changes'],
    ['POST', '/containers/{id:.*}/update', container, 'short', 'short', 'changes'],
    ['POST', '/containers/{id:.*}/resize', container, 'short', 'short', 'changes'],
    ['POST', '/containers/{id:.*}/wait', container, 'endless', 'none', 'read'],
    ['DELETE', '/containers/{id:.*}', container, 'short', 'slow', 'changes'],
    ['POST', '/commit', containerInQuery, 'endless', 'none', 'changes'],
  ]),
  family('Exec', [
    ['POST', '/containers/{id:.*}/exec', container, 'short', 'short', 'host-root'],
    ['POST', '/exec/{id:.*}/start', exec, 'hijack', 'none', 'host-root'],
    ['POST', '/exec/{id:.*}/resize', exec, 'short', 'short', 'changes'],
    ['GET', '/exec/{id:.*}/json', exec, 'short', 'short', 'reveals'],
  ]),
  family('Images', [
    ['GET', '/images/json', { kind: 'merge', what: 'images' }, 'short', 'list', 'read'],
    ['GET', '/images/search', local, 'short', 'slow', 'read'],
    ['GET', '/images/get', { kind: 'images-in-query' }, 'endless', 'none', 'reveals'],
    ['GET', '/images/{name:.*}/get', image, 'endless', 'none', 'reveals'],
    ['GET', '/images/{name:.*}/history', image, 'short', 'short', 'reveals'],
    ['GET', '/images/{name:.*}/json', image, 'short', 'short', 'reveals'],
    ['GET', '/images/{name:.*}/attestations', image, 'short', 'short', 'reveals'],
    ['POST', '/images/load', local, 'endless', 'none', 'changes'],
    ['POST', '/images/create', local, 'endless', 'none', 'changes'],
    ['POST', '/images/{name:.*}/push', image, 'endless', 'none', 'changes'],
    ['POST', '/images/{name:.*}/tag', image, 'short', 'short', 'changes'],
    ['POST', '/images/prune', { kind: 'prune', what: 'images' }, 'short', 'slow', 'changes'],
    ['DELETE', '/images/{name:.*}', image, 'short', 'slow', 'changes'],
    ['GET', '/distribution/{name:.*}/json', local, 'short', 'slow', 'read'],
  ]),
  family('Build', [
    ['POST', '/build', local, 'endless', 'none', 'host-root'],
    ['POST', '/build/prune', { kind: 'prune', what: 'build' }, 'short', 'slow', 'changes'],
    ['POST', '/build/cancel', local, 'short', 'short', 'changes'],
    ['POST', '/session', local, 'hijack', 'none', 'host-root'],
    ['POST', '/grpc', local, 'hijack', 'none', 'host-root'],
  ]),
  family('Volumes', [
    ['GET', '/volumes', { kind: 'merge', what: 'volumes' }, 'short', 'list', 'reveals'],
    ['GET', '/volumes/{name:.*}', volume, 'short', 'short', 'reveals'],
    ['POST', '/volumes/create', { kind: 'create', what: 'volume' }, 'short', 'slow', 'host-root'],
    ['POST', '/volumes/prune', { kind: 'prune', what: 'volumes' }, 'short', 'slow', 'changes'],
    // Cluster volumes only; the engine refuses it for any other.
    ['PUT', '/volumes/{name:.*}', manager, 'short', 'short', 'changes'],
    ['DELETE', '/volumes/{name:.*}', volume, 'short', 'slow', 'changes'],
  ]),
  family('Networks', [
    ['GET', '/networks', { kind: 'merge', what: 'networks' }, 'short', 'list', 'read'],
    ['GET', '/networks/', { kind: 'merge', what: 'networks' }, 'short', 'list', 'read'],
    ['GET', '/networks/{id:.+}', network, 'short', 'short', 'read'],
    ['POST', '/networks/create', { kind: 'create', what: 'network' }, 'short', 'slow', 'changes'],
    ['POST', '/networks/{id:.*}/connect', containerInBody, 'short', 'slow', 'changes'],
    ['POST', '/networks/{id:.*}/disconnect', containerInBody, 'short', 'slow', 'changes'],
    ['POST', '/networks/prune', { kind: 'prune', what: 'networks' }, 'short', 'slow', 'changes'],
    ['DELETE', '/networks/{id:.*}', network, 'short', 'slow', 'changes'],
  ]),
  family('Swarm', [
    ['GET', '/swarm', manager, 'short', 'short', 'secrets'],
    ['POST', '/swarm/update', manager, 'short', 'short', 'secrets'],
    // What concerns this node alone: whether it is in a swarm, and the key of its own store.
    ['POST', '/swarm/init', local, 'short', 'slow', 'host-root'],
    ['POST', '/swarm/join', local, 'short', 'slow', 'host-root'],
    ['POST', '/swarm/leave', local, 'short', 'slow', 'changes'],
    ['POST', '/swarm/unlock', local, 'short', 'slow', 'secrets'],
    ['GET', '/swarm/unlockkey', local, 'short', 'short', 'secrets'],
    ['GET', '/nodes', manager, 'short', 'list', 'read'],
    ['GET', '/nodes/{id}', manager, 'short', 'short', 'read'],
    ['DELETE', '/nodes/{id}', manager, 'short', 'short', 'changes'],
    ['POST', '/nodes/{id}/update', manager, 'short', 'short', 'host-root'],
  ]),
  family('Services and tasks', [
    ['GET', '/services', manager, 'short', 'list', 'reveals'],
    ['GET', '/services/{id}', manager, 'short', 'short', 'reveals'],
    // With a registry to ask for the digest of the image.
    ['POST', '/services/create', manager, 'short', 'slow', 'host-root'],
    ['POST', '/services/{id}/update', manager, 'short', 'slow', 'host-root'],
    ['DELETE', '/services/{id}', manager, 'short', 'short', 'changes'],
    ['GET', '/services/{id}/logs', manager, 'endless', 'none', 'reveals'],
    ['GET', '/tasks', manager, 'short', 'list', 'reveals'],
    ['GET', '/tasks/{id}', manager, 'short', 'short', 'reveals'],
    ['GET', '/tasks/{id}/logs', manager, 'endless', 'none', 'reveals'],
  ]),
  family('Secrets and configs', [
    // The engine never gives a secret's content back; of a config it does.
    ['GET', '/secrets', manager, 'short', 'list', 'read'],
    ['POST', '/secrets/create', manager, 'short', 'short', 'secrets'],
    ['GET', '/secrets/{id}', manager, 'short', 'short', 'read'],
    ['DELETE', '/secrets/{id}', manager, 'short', 'short', 'changes'],
    ['POST', '/secrets/{id}/update', manager, 'short', 'short', 'secrets'],
    ['GET', '/configs', manager, 'short', 'list', 'secrets'],
    ['POST', '/configs/create', manager, 'short', 'short', 'secrets'],
    ['GET', '/configs/{id}', manager, 'short', 'short', 'secrets'],
    ['DELETE', '/configs/{id}', manager, 'short', 'short', 'changes'],
    ['POST', '/configs/{id}/update', manager, 'short', 'short', 'secrets'],
  ]),
  family('Plugins', [
    ['GET', '/plugins', local, 'short', 'list', 'reveals'],
    ['GET', '/plugins/{name:.*}/json', local, 'short', 'short', 'reveals'],
    ['GET', '/plugins/privileges', local, 'short', 'slow', 'read'],
    ['DELETE', '/plugins/{name:.*}', local, 'short', 'slow', 'host-root'],
    ['POST', '/plugins/{name:.*}/enable', local, 'short', 'slow', 'host-root'],
    ['POST', '/plugins/{name:.*}/disable', local, 'short', 'slow', 'host-root'],
    ['POST', '/plugins/pull', local, 'endless', 'none', 'host-root'],
    ['POST', '/plugins/{name:.*}/push', local, 'endless', 'none', 'host-root'],
    ['POST', '/plugins/{name:.*}/upgrade', local, 'endless', 'none', 'host-root'],
    ['POST', '/plugins/{name:.*}/set', local, 'short', 'short', 'host-root'],
    ['POST', '/plugins/create', local, 'endless', 'none', 'host-root'],
  ]),
];

/** In the order of the families. */
export const routes: readonly Route[] = routeFamilies.flatMap((each) => each.routes);

function family(title: string, lines: readonly Line[]): RouteFamily {
  return {
    title,
    routes: lines.map(([method, path, where, stream, deadline, sensitivity]) => ({
      method,
      path,
      where,
      stream,
      deadline,
      sensitivity,
    })),
  };
}
