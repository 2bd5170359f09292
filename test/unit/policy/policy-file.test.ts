import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UsagePolicies } from '../../../src/files/policy/usage-policies.ts';
import { usagePolicySchema } from '../../../src/files/policy/policy-file.ts';

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../../docs/usage-policies.md'), 'utf8');

function mistakesIn(content: unknown): string {
  try {
    new UsagePolicies(content);
  } catch (error) {
    if (error instanceof z.ZodError) return z.prettifyError(error);
    throw error;
  }
  return '';
}

describe('a policy file', () => {
  it('has every mistake reported with its place', () => {
    const told = mistakesIn({
      usages: {
        avatar: {
          read: ['owner', 'everybody'],
          write: ['relation:team'],
          disposition: 'show',
          colour: 'red',
        },
        invoice: { urlLifetimeSeconds: { min: 60, max: 30 } },
        export: { urlLifetimeSeconds: { max: 60, default: 61 } },
        'tab\there': {},
      },
      default: { contentTypes: ['png'], maxSizeBytes: 0, retentionSeconds: -1 },
    });
    for (const place of [
      'usages.avatar.read[1]',
      'usages.avatar.write[0]',
      'usages.avatar.disposition',
      'usages.invoice.urlLifetimeSeconds',
      'usages.export.urlLifetimeSeconds',
      'default.contentTypes[0]',
      'default.maxSizeBytes',
      'default.retentionSeconds',
      '"colour"',
      'must be one of owner, authenticated, asset:read, asset:write, asset:delete, asset:admin, relation:<name>',
      'usages["tab',
    ]) {
      expect(told).toContain(place);
    }
  });

  it('has mistakes in variants reported by the names of their settings', () => {
    const variants = {
      none: { fit: 'cover' },
      huge: { width: 5_000, height: 10 },
      avif: { width: 10, height: 1_201, format: 'avif' },
      png: { width: 10, format: 'png', quality: 3 },
      odd: { width: 1.5, fit: 'fill', format: 'gif', quality: 0, at: 'noon', background: 'red' },
      'Not a name': { width: 1 },
    };
    const told = mistakesIn({ usages: { photo: { variants } }, default: {} });
    for (const place of [
      'set width, height or both',
      'usages.photo.variants.none.width',
      'usages.photo.variants.huge.width',
      'usages.photo.variants.avif.height',
      'usages.photo.variants.png.quality',
      ...['width', 'fit', 'format', 'quality', 'at'].map((name) => `usages.photo.variants.odd.${name}`),
      '"background"',
      'usages.photo.variants["Not a name"]',
    ]) {
      expect(told).toContain(place);
    }
    const many = Object.fromEntries(Array.from({ length: 17 }, (_none, i) => [`v${i}`, { width: 1 }]));
    expect(mistakesIn({ default: { variants: many } })).toContain('at most 16 variants');
  });

  it('has as many usages as one list can tell apart', () => {
    const named = (count: number, name: string) =>
      Object.fromEntries(Array.from({ length: count }, (_none, i) => [`${name}${i}`, {}]));
    expect(mistakesIn({ usages: named(100, 'usage') })).toBe('');
    expect(mistakesIn({ usages: named(101, 'usage') })).toContain('at most 100 usages');
    expect(mistakesIn({ usages: named(50, 'x'.repeat(50)) })).toContain('at most 2000 characters');
  });

  it('bounds the life of URLs, with a usual one between', () => {
    const lifetime = (urlLifetimeSeconds: object) =>
      new UsagePolicies({ default: { urlLifetimeSeconds } }).of('any').urlLifetimeSeconds;
    expect(lifetime({})).toEqual({ min: 1, max: 604_800, default: 900 });
    expect(lifetime({ max: 60 })).toEqual({ min: 1, max: 60, default: 60 });
    expect(lifetime({ min: 3600 })).toEqual({ min: 3600, max: 604_800, default: 3600 });
    expect(lifetime({ min: 10, max: 100, default: 50 })).toEqual({ min: 10, max: 100, default: 50 });
  });

  it('is replaced by a valid one only', () => {
    const policies = new UsagePolicies({ usages: { avatar: { maxSizeBytes: 10 } } });
    expect(() => policies.replace({ usages: { avatar: { maxSizeBytes: -1 } } })).toThrow();
    expect(policies.of('avatar').maxSizeBytes).toBe(10);
    policies.replace({ default: { maxSizeBytes: 20 } });
    expect(policies.of('avatar').maxSizeBytes).toBe(20);
  });

  it('has every one of its fields in the documentation, and no other is there', () => {
    const rows = [...DOCUMENT.split('## Who may read')[0]!.matchAll(/^\| `([A-Za-z.]+)` +\|/gm)].map(
      (row) => row[1],
    );
    const shape = Object.keys(usagePolicySchema.shape);
    expect(rows.filter((name) => !name!.includes('.')).sort()).toEqual(shape.sort());
  });

  it('is valid in every example of the documentation', () => {
    const examples = [...DOCUMENT.matchAll(/```json\n([^]*?)```/g)].map((found) => found[1]!);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(mistakesIn(JSON.parse(example))).toBe('');
  });
});
