// What a client sends may enter the log, but never as a line of its own or as a command to a terminal.

import { equal } from 'node:assert/strict';
import { mark, useAgent } from '../support/checks.ts';
import { exchangeRaw } from '../support/raw-http.ts';
import { assertCleanLog, signedHead, warmUp } from './attack.ts';

const forgedLine = '{"level":30,"msg":"forged"}';

describe('log injection', () => {
  const under = useAgent({ engine: { swarm: 'manager' } });

  for (const [name, path] of [
    ['an encoded line break in the path', `/containers/x%0d%0a${encodeURIComponent(forgedLine)}/json`],
    ['an encoded escape in the path', '/containers/%1b%5b31mred/json'],
    ['an encoded line break in the query', `/nothing?x=%0a${encodeURIComponent(forgedLine)}`],
    ['an encoded C1 control in the path', '/containers/%c2%9b31m/json'],
  ] as const) {
    it(`A-62 ${name} stays inside its line`, async () => {
      await warmUp(under());
      await under().request({ path, headers: mark });
      await assertCleanLog(under(), /reason|msg/);
      equal(
        under()
          .agent.logLines()
          .some(({ msg }) => msg === 'forged'),
        false,
      );
    });
  }

  for (const [name, line] of [
    ['a user agent', 'User-Agent: \x9b31mred\x85forged'],
    ['a target', 'X-PortainerAgent-Target: \x9b31m\x85forged'],
    ['a broken signature', 'X-PortainerAgent-Signature: \x9b2J'],
  ] as const) {
    it(`A-62 control bytes in ${name} stay inside their line`, async () => {
      await warmUp(under());
      const head = signedHead(under(), 'GET /version HTTP/1.1', line, 'Connection: close');
      await exchangeRaw(under().agent.compat, Buffer.from(`${head}\r\n`, 'latin1'));
      await assertCleanLog(under(), /reason|msg/);
    });
  }
});
