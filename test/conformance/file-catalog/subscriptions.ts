import { expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';

/** What a catalog promises of subscriptions. */
export function subscriptionTests(open: () => FileCatalog): void {
  const newKey = () => randomBytes(16).toString('hex');

  it('keeps the text of a subscription, and changes it by compare-and-set', async () => {
    const { subscriptions } = open();
    const [key, owner] = [newKey(), newKey()];
    expect(await subscriptions.get(key)).toBeUndefined();
    const text = JSON.stringify({ text: 'a "b" \\ \n é 😀', list: [1, null, true], empty: '' });
    expect(await subscriptions.create(key, owner, text)).toBe(true);
    expect(await subscriptions.create(key, owner, '{}')).toBe(false);
    const first = (await subscriptions.get(key))!;
    expect(first).toEqual({ key, revision: expect.stringMatching(/^.{1,64}$/), state: text });
    const large = JSON.stringify('x'.repeat(1_000_000));
    expect(await subscriptions.update(key, first.revision, large)).toBe(true);
    expect(await subscriptions.update(key, first.revision, '{}')).toBe(false);
    expect(await subscriptions.remove(key, first.revision)).toBe(false);
    const second = (await subscriptions.get(key))!;
    expect(second.revision).not.toBe(first.revision);
    expect(second.state).toBe(large);
    expect(await subscriptions.remove(key, second.revision)).toBe(true);
    expect(await subscriptions.get(key)).toBeUndefined();
    expect(await subscriptions.update(key, second.revision, '{}')).toBe(false);
    expect(await subscriptions.create(key, owner, '{}')).toBe(true);
  });

  it('lists the subscriptions of one owner', async () => {
    const { subscriptions } = open();
    const [owner, other] = [newKey(), newKey()];
    const keys = [newKey(), newKey(), newKey()].sort();
    for (const key of keys) await subscriptions.create(key, owner, `"${key}"`);
    await subscriptions.create(newKey(), other, '{}');
    expect((await subscriptions.list(owner, 10)).map(({ key, state }) => [key, state])).toEqual(
      keys.map((key) => [key, `"${key}"`]),
    );
    expect((await subscriptions.list(owner, 2)).map(({ key }) => key)).toEqual(keys.slice(0, 2));
    expect(await subscriptions.list(newKey(), 10)).toEqual([]);
  });

  it('lets one of several concurrent changes of a subscription through', async () => {
    const { subscriptions } = open();
    const [key, owner] = [newKey(), newKey()];
    const many = Array.from({ length: 8 }, (_, i) => i);
    const made = await Promise.all(many.map((i) => subscriptions.create(key, owner, String(i))));
    expect(made.filter(Boolean)).toHaveLength(1);
    // Everybody adds one until they have.
    const add = async () => {
      for (;;) {
        const now = (await subscriptions.get(key))!;
        if (await subscriptions.update(key, now.revision, String(Number(now.state) + 1))) return;
      }
    };
    const start = Number((await subscriptions.get(key))!.state);
    await Promise.all(many.map(add));
    expect(Number((await subscriptions.get(key))!.state)).toBe(start + many.length);
  });
}
