import { describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../../src/config/config.ts';
import { SettingsError } from '../../../src/config/settings.ts';

const STORE = { ASSET_STORE: 's3', ASSET_S3_ENDPOINT: 'http://localhost:8333', ASSET_S3_BUCKET: 'own' };
const OLD = { ...STORE, ASSET_LEGACY_S3_BUCKET: 'old' };

function mistakesOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes;
    throw error;
  }
  return [];
}

describe('settings of the old system', () => {
  it('are those of the store where they are left out', () => {
    expect(loadConfig(STORE).legacy).toBeUndefined();
    const s3 = {
      ...{ ...OLD, ASSET_S3_PUBLIC_ENDPOINT: 'https://s3.example', ASSET_S3_REGION: 'eu-1' },
    };
    expect(loadConfig(s3).legacy).toMatchObject({
      s3: {
        ...{ bucket: 'old', endpoint: 'http://localhost:8333', publicEndpoint: 'https://s3.example' },
        ...{ region: 'eu-1', forcePathStyle: true },
      },
      linkField: 'link',
    });
    const other = loadConfig({
      ...s3,
      ASSET_LEGACY_S3_ENDPOINT: 'http://old:1',
      ASSET_LEGACY_S3_REGION: 'us-9',
    });
    expect(other.legacy?.s3).toMatchObject({ endpoint: 'http://old:1', region: 'us-9' });
    expect(other.legacy?.s3.publicEndpoint).toBeUndefined();
  });

  it('hide the fields that layouts and links name from callers', () => {
    const pocketbase = {
      ...{ ...OLD, ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: 'http://x' },
      ...{ ASSET_POCKETBASE_EMAIL: 'a@example.com', ASSET_POCKETBASE_PASSWORD: 'p' },
    };
    const { catalog } = loadConfig(pocketbase);
    expect(catalog).toMatchObject({
      pocketbase: {
        legacyFields: { secure_name: 'ASSET_LEGACY_LAYOUTS', file: 'ASSET_LEGACY_LAYOUTS', link: '' },
      },
    });
    const linked = loadConfig({
      ...pocketbase,
      ASSET_LEGACY_LINK_FIELD: 'url',
      ASSET_LEGACY_LAYOUTS: '{id}',
    });
    expect(linked.catalog).toMatchObject({
      pocketbase: { legacyFields: { url: 'ASSET_LEGACY_LINK_FIELD' } },
    });
  });

  it.each<[string, Record<string, string>, string]>([
    ['no bucket', { ...STORE, ASSET_LEGACY_S3_REGION: 'x' }, 'ASSET_LEGACY_S3_BUCKET: is required'],
    [
      'the own bucket',
      { ...OLD, ASSET_LEGACY_S3_BUCKET: 'own' },
      'ASSET_LEGACY_S3_BUCKET: is the bucket of the service',
    ],
    [
      'the own bucket at another name of this machine',
      { ...OLD, ASSET_LEGACY_S3_BUCKET: 'own', ASSET_LEGACY_S3_ENDPOINT: 'http://127.0.0.1:8333' },
      'ASSET_LEGACY_S3_BUCKET: is the bucket of the service',
    ],
    [
      'a template without an id',
      { ...OLD, ASSET_LEGACY_LAYOUTS: '{name}' },
      'ASSET_LEGACY_LAYOUTS: "{name}" has no {id}',
    ],
    [
      'half a template',
      { ...OLD, ASSET_LEGACY_LAYOUTS: '{id}/{x' },
      'ASSET_LEGACY_LAYOUTS: "{id}/{x" has a brace',
    ],
    [
      'half a template, and no old bucket',
      { ASSET_LEGACY_LAYOUTS: '{id}/{x' },
      'ASSET_LEGACY_LAYOUTS: "{id}/{x" has a brace',
    ],
    [
      'no template, and no old bucket',
      { ASSET_LEGACY_LAYOUTS: ',' },
      'ASSET_LEGACY_LAYOUTS: names no template',
    ],
    ['no template', { ...OLD, ASSET_LEGACY_LAYOUTS: ',' }, 'ASSET_LEGACY_LAYOUTS: names no template'],
    [
      'a key alone',
      { ...OLD, ASSET_LEGACY_S3_ACCESS_KEY_ID: 'k' },
      'ASSET_LEGACY_S3_SECRET_ACCESS_KEY: is required',
    ],
    [
      'no field',
      { ...OLD, ASSET_LEGACY_LINK_FIELD: 'a b' },
      'ASSET_LEGACY_LINK_FIELD: must be the name of a field',
    ],
    [
      'a link that is the name of the file',
      { ...OLD, ASSET_LEGACY_LINK_FIELD: 'title', ASSET_POCKETBASE_FIELDS: '{"name":"title"}' },
      'ASSET_LEGACY_LINK_FIELD: "title" is a part of a file',
    ],
  ])('are refused with %s', (_, environment, text) => {
    expect(mistakesOf(environment)).toEqual([expect.stringContaining(text)]);
  });

  it('may name a bucket of the same name on another server', () => {
    const other = { ...OLD, ASSET_LEGACY_S3_BUCKET: 'own', ASSET_LEGACY_S3_ENDPOINT: 'http://other:8333' };
    expect(mistakesOf(other)).toEqual([]);
  });
});
