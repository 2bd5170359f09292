import { describe, expect, it } from '@jest/globals';
import { changesFrom } from '../../src/cli/description-flags.ts';

describe('a value on the command line', () => {
  it.each([
    ['7', 7],
    ['-0.5', -0.5],
    ['true', true],
    ['"7"', '7'],
    ['[1,2]', [1, 2]],
    ['007', '007'],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['12345678901234567890', '12345678901234567890'],
    ['1e400', '1e400'],
  ])('%s is never stored as another one', (given, kept) => {
    const flags = { relation: [], attribute: [] } as unknown as Parameters<typeof changesFrom>[0];
    expect(changesFrom(flags, [`attributes.x=${given}`])).toMatchObject({ attributes: { x: kept } });
  });
});
