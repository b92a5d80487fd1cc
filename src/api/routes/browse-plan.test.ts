// What a browse request asks for, and what its failures are called.

import { deepEqual, equal } from 'node:assert/strict';
import { AgentError } from '../../errors.ts';
import { browseFailure, readBrowseRequest, readParameter, readRename } from './browse-plan.ts';

describe('browse requests', () => {
  it('tells v2 from v1 by the route, and others from both', () => {
    deepEqual(readBrowseRequest('GET /browse/ls', '/v2/browse/ls?path=%2F&volumeID=v'), {
      version: 2,
      action: 'ls',
      volumeId: 'v',
      path: Buffer.from('/'),
    });
    deepEqual(readBrowseRequest('DELETE /browse/my\nvol/delete', '/v1/browse/x/delete?volumeID=other'), {
      version: 1,
      action: 'delete',
      volumeId: 'my\nvol',
      path: undefined,
    });
    for (const route of ['GET /host/info', 'GET /browse/a/b/ls', 'GET /browse', 'GET /x/browse/ls'])
      equal(readBrowseRequest(route, ''), undefined);
  });

  it('reads parameters as bytes, the first of a name, and none whose escapes are broken', () => {
    const read = (query: string): string | undefined => readParameter(query, 'path')?.toString('latin1');
    for (const [query, value] of [
      ['path=a', 'a'],
      ['x=1&path=a+b%20c&path=d', 'a b c'],
      ['path=%FF%00', '\xff\0'],
      ['p%61th=a', 'a'],
      ['path', ''],
      ['path=a=b', 'a=b'],
      ['path=%', undefined],
      ['path=%zz&path=a', 'a'],
      ['path=a;b&path=c', 'c'],
      ['path=a;path=b', undefined],
      [';path=a', undefined],
      ['%=1&path=a', 'a'],
      ['', undefined],
      ['Path=a', undefined],
    ] as const)
      equal(read(query), value, query);
  });

  it('reads a volume only where there is one way to read it, and the host only where none is named', () => {
    const read = (query: string): string | undefined =>
      readBrowseRequest('GET /browse/ls', `/v2/browse/ls?${query}`)?.volumeId;
    for (const [query, volumeId] of [
      ['', ''],
      ['path=%zz', ''],
      ['volumeID=', ''],
      ['volumeid=mine', ''],
      ['x=1;volumeID=mine', ''],
      ['volumeID=mine', 'mine'],
      ['volume%49D=mine', 'mine'],
      ['volumeID=%zz', undefined],
      ['volumeID=%zz&volumeID=mine', undefined],
      ['volumeID=mine&volumeID=%zz', undefined],
      ['volumeID=&volumeID=mine', undefined],
      ['volumeID=mine&volumeID=mine', undefined],
      ['volumeID=a;b', undefined],
      ['volumeID=a;b&volumeID=mine', undefined],
    ] as const)
      equal(read(query), volumeId, query);
  });

  it('reads the paths of a rename as Go does', () => {
    const paths = { kind: 'ok', from: 'a', to: 'b' } as const;
    deepEqual(readRename('{"CurrentFilePath":"a","NewFilePath":"b"}'), paths);
    deepEqual(readRename('{"currentfilepath":"a","NEWFILEPATH":"b","other":1}'), paths);
    for (const [body, details] of [
      ['', 'EOF'],
      ['{', 'invalid JSON'],
      ['null', 'invalid JSON'],
      ['[]', 'current file path is invalid'],
      ['{"CurrentFilePath":1}', 'current file path is invalid'],
      ['{"CurrentFilePath":"a","NewFilePath":""}', 'new file path is invalid'],
    ] as const)
      deepEqual(readRename(body), { kind: 'bad', details }, body);
  });

  it('names failures as the original does, and tells nothing of the engine', () => {
    const failure = (version: 1 | 2, error: AgentError): unknown => {
      const { status, body } = browseFailure(
        { version, action: 'get', volumeId: 'v', path: undefined },
        error,
      );
      return [status, JSON.parse(String(body))];
    };
    const invalid = new AgentError('request-invalid', 'bad');
    deepEqual(failure(2, invalid), [400, { message: 'Invalid volume', details: 'Bad' }]);
    deepEqual(failure(1, invalid), [400, { message: 'Invalid query parameter: path', details: 'Bad' }]);
    deepEqual(failure(2, new AgentError('unavailable', 'open a file: it is a folder')), [
      500,
      { message: 'Unable to open file', details: 'Open a file: it is a folder' },
    ]);
    deepEqual(failure(2, new AgentError('timeout', 'wait for the disk')), [
      503,
      { message: 'Unable to open file', details: 'The disk or the engine does not answer' },
    ]);
    deepEqual(failure(2, new AgentError('engine-unreachable', 'ask engine at /run/secret.sock')), [
      500,
      { message: 'Unable to open file', details: 'Engine-unreachable' },
    ]);
  });
});
