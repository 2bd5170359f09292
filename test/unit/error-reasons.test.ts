import { expect, it } from '@jest/globals';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Reasons that are thrown in one place alone, and made there. All others are made in src/errors. */
const MADE_WHERE_THROWN: Readonly<Record<string, string>> = {
  CONTENT_TYPE_NOT_ALLOWED: 'src/files/policy/usage-policies.ts',
  DISPOSITION_NOT_ALLOWED: 'src/files/urls.ts',
  ETAG_MISMATCH: 'src/files/records.ts',
  FILE_DELETED: 'src/files/records.ts',
  FILE_NOT_DELETED: 'src/files/delete.ts',
  FILE_NOT_MOVED: 'src/files/old-files.ts',
  IDENTITY_UNAVAILABLE: 'src/identity/key-set.ts',
  INTERNAL: 'src/files/sweep/sweeper.ts',
  MALWARE_FOUND: 'src/files/upload/scan.ts',
  MESSAGE_TOO_LARGE: 'src/files/answer-room.ts',
  PAGE_TOKEN_INVALID: 'src/files/list.ts',
  QUOTA_EXCEEDED: 'src/files/quota.ts',
  RELATION_TARGET_MISSING: 'src/catalog/pocketbase/refusals.ts',
  SCANNER_UNAVAILABLE: 'src/scanning/clamd.ts',
  UPLOAD_FINISHED: 'src/files/upload/session-store.ts',
  UPLOAD_NOT_FINISHED: 'src/rpc/service/upload-stream.ts',
  UPLOAD_PARTS_MISSING: 'src/files/upload/direct.ts',
  UPLOAD_STALLED: 'src/files/upload/stall-timeout.ts',
  USAGE_UNKNOWN: 'src/files/policy/usage-policies.ts',
};

/** Every place in src that makes an AssetError: its reason, if that is a literal, and its file. */
const made = globSync('src/**/*.ts', { cwd: ROOT }).flatMap((file) => {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(/\bnew AssetError\(\s*(?:'(\w+)')?/g)].map(([, reason]) => ({ reason, file }));
});

it('has one constructor for each reason', () => {
  const reasons = made.map(({ reason }) => reason ?? 'no literal').sort();
  expect(reasons).toEqual([...new Set(reasons)]);
  expect(reasons).toContain('FIELD_INVALID');
  expect(reasons).not.toContain('no literal');
});

it('makes the errors that several places throw in src/errors', () => {
  const elsewhere = made.filter(({ file }) => !file.startsWith(join('src', 'errors')));
  const files = Object.fromEntries(elsewhere.map(({ reason, file }) => [reason, file]));
  expect(files).toEqual(MADE_WHERE_THROWN);
});
