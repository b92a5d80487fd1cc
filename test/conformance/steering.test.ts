// The fixed error answers, and what a request's target means on an agent that is alone in its Swarm or has none.

import { deepEqual, equal } from 'node:assert/strict';
import { assertErrorBody, mark, useAgent } from '../support/checks.ts';
import { type RecordedError, vectors } from '../support/vectors.ts';

const target = 'X-PortainerAgent-Target';
const managerOperation = 'X-PortainerAgent-ManagerOperation';

describe('steering without a Swarm', () => {
  const under = useAgent({ engine: { swarm: 'inactive' } });

  it('says that member management needs a Swarm', async () => {
    const { status, body } = recorded('standaloneAgents');
    for (const path of ['/agents', '/v2/agents']) {
      assertErrorBody(await under().request({ path }), status, body);
    }
  });

  it('ignores the steering headers and does not decorate', async () => {
    for (const headers of [{ [target]: 'elsewhere' }, { [managerOperation]: '1' }]) {
      const answer = await under().request({ path: '/containers/json', headers });
      equal(answer.status, 200);
      equal(answer.headers.get('api-version'), '1.41');
      equal(answer.body.includes('Portainer'), false);
    }
  });
});

describe('steering on a manager that is alone', () => {
  const under = useAgent({ engine: { swarm: 'manager', name: 'node1' } });

  it('refuses an unknown target in the known words', async () => {
    const { status, body } = recorded('unknownTarget');
    for (const path of ['/version', '/containers/web/json', '/v1.41/images/create']) {
      assertErrorBody(await under().request({ path, headers: { [target]: 'nowhere' } }), status, body);
    }
    assertErrorBody(
      await under().request({ path: '/version', headers: { [target]: 'NODE1' } }),
      status,
      body,
    );
  });

  it('decorates its merged lists, and not the plain list of a target or a manager operation', async () => {
    const list = async (headers: Record<string, string>) => {
      const answer = await under().request({ path: '/v1.41/containers/json?all=1', headers });
      equal(answer.status, 200);
      equal(answer.headers.get('content-type'), 'application/json');
      return JSON.parse(answer.body.toString())[0].Portainer;
    };
    const decorated = { Agent: { NodeName: 'node1' } };
    deepEqual(await list({}), decorated);
    deepEqual(await list({ [target]: 'another' }), decorated);
    deepEqual(await list({ [target]: 'node1' }), undefined);
    deepEqual(await list({ [managerOperation]: '1' }), undefined);
  });

  it('answers volumes as an object, and a member list with its fields', async () => {
    under().engine.state.volumes = { Volumes: [{ Name: 'v1' }], Warnings: ['w'] };
    const volumes = await under().request({ path: '/volumes' });
    deepEqual(JSON.parse(volumes.body.toString()), {
      Volumes: [{ Name: 'v1', Portainer: { Agent: { NodeName: 'node1' } } }],
    });
    const agents = await under().request({ path: '/agents' });
    deepEqual(JSON.parse(agents.body.toString()), [
      {
        IPAddress: '127.0.0.1',
        Port: String(under().agent.compat.port),
        NodeName: 'node1',
        NodeRole: 'manager',
        EdgeKeySet: false,
      },
    ]);
  });

  it('answers an empty list when nothing answers', async () => {
    under().engine.failWith(({ target: path }) =>
      path.startsWith('/images/json')
        ? { kind: 'status', status: 500, body: { message: 'boom' } }
        : undefined,
    );
    const answer = await under().request({ path: '/images/json' });
    equal(answer.status, 200);
    deepEqual(JSON.parse(answer.body.toString()), []);
  });
});

describe('steering on a worker that is alone', () => {
  const under = useAgent({ engine: { swarm: 'worker', name: 'node2' } });

  it('says that no manager can be reached, for every manager path and operation', async () => {
    const { status, body } = recorded('noManager');
    const paths = ['/info', '/services', '/tasks', '/secrets', '/configs', '/swarm', '/nodes', '/v1.41/info'];
    for (const path of paths) assertErrorBody(await under().request({ path, headers: mark }), status, body);
    const headers = { [managerOperation]: 'yes', ...mark };
    assertErrorBody(await under().request({ path: '/version', headers }), status, body);
    deepEqual(under().forwarded(), []);
  });
});

function recorded(name: string): RecordedError {
  const found = vectors.errors[name];
  if (found === undefined) throw new Error(`no recorded error ${name}`);
  return found;
}
