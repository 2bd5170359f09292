import { z } from 'zod';
import { http, jsonObject, names, option, text, type Option } from './types.ts';

const FIELDS_EXAMPLE = '{"name":"title","owner":"user"}';

/** The settings of the catalog in a PocketBase. */
export const POCKETBASE_OPTIONS = {
  ASSET_POCKETBASE_URL: option(
    http().optional(),
    '',
    'Address of PocketBase. Required with ASSET_CATALOG=pocketbase.',
  ),
  ASSET_POCKETBASE_EMAIL: option(
    text().optional(),
    '',
    'Superuser that the service signs in as. Required with ASSET_CATALOG=pocketbase.',
  ),
  ASSET_POCKETBASE_PASSWORD: option(
    text().optional(),
    '',
    'Password of the superuser. Required with ASSET_CATALOG=pocketbase.',
    true,
  ),
  ASSET_POCKETBASE_COLLECTION: option(
    z.string().regex(/^\w+$/, 'must be the name of a collection'),
    'files',
    'Collection that describes the files. It must exist, unless it is files, which is created where PocketBase has none.',
  ),
  ASSET_POCKETBASE_FIELDS: option(
    jsonObject(
      z.string('must give names of fields as text').min(1, 'must give names that are not empty'),
      FIELDS_EXAMPLE,
    ),
    '{}',
    `Names of the fields in the collection where they differ from those of the contract, as JSON such as ${FIELDS_EXAMPLE}. Each of them must exist; see docs/pocketbase.md.`,
  ),
  ASSET_POCKETBASE_HIDDEN_FIELDS: option(
    names(),
    '',
    'Fields of the collection that hold legacy links, separated by commas: callers never see or write them. Each of them must exist. File fields are hidden anyway.',
  ),
  ASSET_POCKETBASE_DEFAULTS: option(
    jsonObject(z.json(), '{"secure_name":"-"}'),
    '{}',
    'Values that new records get in fields which the upload gives none, as JSON such as {"secure_name":"-"}: for fields that are required and that callers cannot fill, such as hidden ones.',
  ),
} as const satisfies Record<string, Option>;
