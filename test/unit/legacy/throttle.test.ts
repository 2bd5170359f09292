import { describe, expect, it } from '@jest/globals';
import { Throttle } from '../../../src/legacy/throttle.ts';

function learned(storeMs = 10, catalogMs = 10): Throttle {
  const throttle = new Throttle();
  for (let i = 0; i < 30; i++) {
    throttle.observe('store', storeMs);
    throttle.observe('catalog', catalogMs);
  }
  return throttle;
}

describe('the throttle of a move', () => {
  it('holds nothing back while store and catalog take as long as they usually do', () => {
    expect(learned().wait).toEqual({ ms: 0, for: undefined });
    expect(learned(400, 5).wait.ms).toBe(0);
  });

  it('waits for whichever takes longer than usual, by as much as it does, and no longer than 2 s', () => {
    const throttle = learned();
    for (let i = 0; i < 40; i++) throttle.observe('catalog', 200);
    expect(throttle.wait.for).toBe('catalog');
    expect(throttle.wait.ms).toBeGreaterThan(150);
    for (let i = 0; i < 40; i++) throttle.observe('store', 20_000);
    expect(throttle.wait).toEqual({ ms: 2_000, for: 'store' });
  });

  it('goes on as before once they are quick again', () => {
    const throttle = learned();
    for (let i = 0; i < 40; i++) throttle.observe('store', 500);
    for (let i = 0; i < 40; i++) throttle.observe('store', 10);
    expect(throttle.wait.ms).toBe(0);
  });

  it('takes no single slow answer for trouble of the first files', () => {
    const throttle = new Throttle();
    for (let i = 0; i < 10; i++) throttle.observe('store', i === 5 ? 3_000 : 10);
    expect(throttle.wait.ms).toBe(0);
  });

  it('says that the rate holds it back where it does', async () => {
    const throttle = learned();
    throttle.setRate(50);
    const { signal } = new AbortController();
    await throttle.next(signal);
    await throttle.next(signal);
    expect(throttle.slowedBy).toBe('rate');
    throttle.setRate(0);
    await throttle.next(signal);
    expect(throttle.slowedBy).toBeUndefined();
  });
});
