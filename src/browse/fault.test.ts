// What the file system says, in words for people, and no path of ours.

import { equal } from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import { toBrowseError } from './fault.ts';

describe('failures of the file system', () => {
  it('are told as a reason that people understand', () => {
    for (const [code, text] of [
      ['ENOSPC', 'save a file: no space left on device'],
      ['EXDEV', 'save a file: it would have to go to another file system, where only a copy can'],
      ['ESTALE', 'save a file: its server does not know it any more'],
      ['ENOTCONN', 'save a file: its mount has lost its server'],
      ['EAGAIN', 'save a file: the system is short of what it needs, try again'],
      ['EUNKNOWN', 'save a file: failed (EUNKNOWN)'],
      [undefined, 'save a file: failed'],
    ] as const) {
      const error = Object.assign(new Error(`${code}: open '/secret'`), { code });
      equal(toBrowseError(error, 'save a file').message, text);
    }
  });

  it('are kept where they are ours', () => {
    const error = new AgentError('request-invalid', 'no');
    equal(toBrowseError(error, 'save a file'), error);
  });
});
