// What to ask of every route of the table that only asks, with resources that are there, and what every engine refuses.

import { routes } from '../../src/proxy/routes/table.ts';
import { age, anyOrder, type Mask, members, numbers, type Question } from './differential.ts';

/** Names and ids of what was made on the node. */
export interface Fixture {
  /** Runs, wrote to both of its outputs, and has a file in `/data`. */
  readonly box: string;
  /** Has ended. */
  readonly done: string;
  readonly exec: string;
  readonly image: string;
  readonly volume: string;
  readonly network: string;
  readonly node: string;
  readonly service: string;
  readonly task: string;
  readonly secret: string;
  readonly config: string;
  /** A second in which everything had happened. */
  readonly untilSeconds: number;
}

type Asked = string | readonly [path: string, mask: Mask];

/** Without, with the newest, and with an old version: engines write some answers in the form of the version. */
const versions = ['', '/v1.41', '/v1.24'];
/** Refused at once; the others are looked for until they are found. */
const noRegistry = '127.0.0.1:1/name';
const nobody = 'f'.repeat(64);
const systemState = members('SystemTime', 'NFd', 'NGoroutines');

/** By route; `unknown` stands for an id that nobody has. */
function askedOf(f: Fixture): Readonly<Record<string, readonly Asked[]>> {
  const ofContainer = (rest: string, mask?: Mask): readonly Asked[] =>
    [f.box, f.done, nobody, 'no such name'].map((id): Asked => {
      const path = `/containers/${encodeURIComponent(id)}/${rest}`;
      return mask === undefined ? path : [path, mask];
    });
  const filters = (value: unknown): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;
  const refused = (path: string): readonly Asked[] => [
    `${path}?${filters({ 'no-such': ['x'] })}`,
    `${path}?filters=x`,
    `${path}?filters=%7B`,
    `${path}?${filters({ label: 3 })}`,
  ];
  return {
    'GET /_ping': ['/_ping'],
    'HEAD /_ping': ['/_ping'],
    'GET /version': ['/version'],
    'GET /info': [['/info', systemState]],
    'GET /events': [
      `/events?since=1&until=${f.untilSeconds}`,
      `/events?since=1&until=${f.untilSeconds}&${filters({ type: ['network'] })}`,
      `/events?until=x`,
      ...refused(`/events`).map((path): Asked => `${String(path)}&until=${f.untilSeconds}`),
    ],
    'GET /system/df': [['/system/df', age]],
    'GET /containers/{id:.*}/checkpoints': ofContainer('checkpoints'),
    'GET /containers/json': [
      ['/containers/json?all=1', age],
      ['/containers/json?all=1&size=1', age],
      ['/containers/json?limit=1', age],
      [`/containers/json?${filters({ status: ['exited'] })}`, age],
      [`/containers/json?all=1&${filters({ since: [f.done] })}`, age],
      `/containers/json?${filters({ before: ['nobody'] })}`,
      '/containers/json?limit=x',
      ...refused('/containers/json'),
    ],
    'GET /containers/{id:.*}/json': [...ofContainer('json'), ...ofContainer('json?size=1')],
    'GET /containers/{id:.*}/top': [...ofContainer('top'), ...ofContainer('top?ps_args=-ef', numbers)],
    'GET /containers/{id:.*}/changes': ofContainer('changes'),
    'GET /containers/{id:.*}/logs': [
      ...ofContainer('logs?stdout=1&stderr=1&timestamps=1'),
      ...ofContainer('logs?stdout=1&tail=1'),
      ...ofContainer('logs'),
      `/containers/${f.done}/logs?stdout=1&follow=1`,
    ],
    'GET /containers/{id:.*}/stats': ofContainer('stats?stream=0&one-shot=1', numbers),
    'GET /containers/{id:.*}/export': ofContainer('export'),
    'HEAD /containers/{id:.*}/archive': [...ofContainer('archive?path=/data'), ...ofContainer('archive')],
    'GET /containers/{id:.*}/archive': [
      ...ofContainer('archive?path=/data/file'),
      ...ofContainer('archive?path=/none'),
      ...ofContainer('archive'),
    ],
    'GET /containers/{id:.*}/attach/ws': ofContainer('attach/ws?stream=1'),
    'GET /exec/{id:.*}/json': [`/exec/${f.exec}/json`, `/exec/${nobody}/json`],
    'GET /images/json': ['/images/json', '/images/json?all=1&digests=1', ...refused('/images/json')],
    'GET /images/search': [`/images/search?term=${noRegistry}`, '/images/search?limit=x'],
    'GET /images/get': [`/images/get?names=${f.image}`, '/images/get?names=nobody', '/images/get'],
    'GET /images/{name:.*}/get': [`/images/${f.image}/get`, '/images/a/b/nobody/get'],
    'GET /images/{name:.*}/history': [`/images/${f.image}/history`, '/images/nobody/history'],
    'GET /images/{name:.*}/json': [`/images/${f.image}/json`, '/images/a/b:c/json', '/images/A!/json'],
    'GET /images/{name:.*}/attestations': [`/images/${f.image}/attestations`],
    'GET /distribution/{name:.*}/json': ['/distribution/A!/json', `/distribution/${noRegistry}/json`],
    'GET /volumes': ['/volumes', `/volumes?${filters({ dangling: ['true'] })}`, ...refused('/volumes')],
    'GET /volumes/{name:.*}': [`/volumes/${f.volume}`, '/volumes/nobody', '/volumes/a/b'],
    'GET /networks': [
      ['/networks', anyOrder],
      [`/networks?${filters({ scope: ['local'] })}`, anyOrder],
      ...refused('/networks'),
    ],
    'GET /networks/': [['/networks/', anyOrder]],
    'GET /networks/{id:.+}': [
      `/networks/${f.network}`,
      '/networks/bridge?verbose=1',
      '/networks/ingress?scope=swarm',
      '/networks/nobody',
    ],
    'GET /swarm': ['/swarm'],
    'GET /swarm/unlockkey': ['/swarm/unlockkey'],
    'GET /nodes': ['/nodes', ...refused('/nodes')],
    'GET /nodes/{id}': [`/nodes/${f.node}`, '/nodes/self', '/nodes/nobody'],
    'GET /services': ['/services', '/services?status=1', ...refused('/services')],
    'GET /services/{id}': [`/services/${f.service}`, '/services/nobody'],
    'GET /services/{id}/logs': [`/services/${f.service}/logs?stdout=1`, `/services/${f.service}/logs`],
    'GET /tasks': ['/tasks', ...refused('/tasks')],
    'GET /tasks/{id}': [`/tasks/${f.task}`, '/tasks/nobody'],
    'GET /tasks/{id}/logs': [`/tasks/${f.task}/logs?stdout=1`, '/tasks/nobody/logs?stdout=1'],
    'GET /secrets': ['/secrets', ...refused('/secrets')],
    'GET /secrets/{id}': [`/secrets/${f.secret}`, '/secrets/nobody'],
    'GET /configs': ['/configs', ...refused('/configs')],
    'GET /configs/{id}': [`/configs/${f.config}`, '/configs/nobody'],
    'GET /plugins': ['/plugins', ...refused('/plugins')],
    'GET /plugins/{name:.*}/json': ['/plugins/nobody/json', '/plugins/a/b:c/json'],
    'GET /plugins/privileges': [
      '/plugins/privileges',
      '/plugins/privileges?remote=A!',
      `/plugins/privileges?remote=${noRegistry}`,
    ],
  };
}

/** Answered with a refusal whatever is asked: by a registry, by an experiment, by a newer engine, or by a client that is none. */
export const refusedRoutes: ReadonlySet<string> = new Set([
  'GET /containers/{id:.*}/checkpoints',
  'GET /containers/{id:.*}/attach/ws',
  'GET /images/search',
  'GET /images/{name:.*}/attestations',
  'GET /distribution/{name:.*}/json',
  'GET /plugins/{name:.*}/json',
]);

/** The routes of the table that only ask, by method and template. */
export const askingRoutes: readonly string[] = routes
  .filter(({ method }) => method === 'GET' || method === 'HEAD')
  .map(({ method, path }) => `${method} ${path}`);

export function questionsOf(route: string, fixture: Fixture): readonly Question[] {
  const [method = ''] = route.split(' ');
  const asked = askedOf(fixture)[route] ?? [];
  return asked.flatMap((each) => {
    const [path, mask] = typeof each === 'string' ? [each] : each;
    return versions.map((version) => ({
      method,
      path: `${version}${path}`,
      ...(mask !== undefined && { mask }),
    }));
  });
}

/** What no engine has, and what no engine does. */
export const oddQuestions: readonly Question[] = [
  ['GET', '/nowhere'],
  ['GET', '/'],
  ['HEAD', '/nowhere'],
  ['POST', '/nowhere'],
  ['POST', '/containers/json'],
  ['POST', '/info'],
  ['PUT', '/version'],
  ['DELETE', '/info'],
  ['PATCH', '/containers/x'],
  ['HEAD', '/info'],
  ['OPTIONS', '/info'],
  ['GET', '/containers/create'],
  ['GET', '/v9.99/info'],
  ['GET', '/v1.1/info'],
  ['GET', '/v1/info'],
  ['GET', '/v/info'],
  ['GET', '/info/'],
  ['GET', '//info'],
  ['GET', '/containers/../info'],
  ['DELETE', `/containers/${nobody}`],
  ['DELETE', '/images/nobody'],
  ['DELETE', '/volumes/nobody'],
  ['DELETE', '/networks/nobody'],
  ['POST', `/containers/${nobody}/start`],
  ['POST', '/containers/create'],
  ['POST', '/networks/create'],
  ['POST', '/volumes/create?x'],
].map(([method = '', path = '']) => ({ method, path }));
