import { z } from 'zod';
import { http, jsonObject, names, option, text, type Option } from './option.ts';

const FIELDS_EXAMPLE = '{"name":"title","owner":"user"}';

/** Settings of the PocketBase catalog. */
export const POCKETBASE_OPTIONS = {
  ASSET_POCKETBASE_URL: option(
    http().optional(),
    '',
    'Address of PocketBase. Required with ASSET_CATALOG=pocketbase.',
  ),
  ASSET_POCKETBASE_EMAIL: option(
    text().optional(),
    '',
    'Email of the superuser that the service signs in as. Required with ASSET_CATALOG=pocketbase.',
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
    'Collection of the files. It must exist, except for the default, which is created if it is missing.',
  ),
  ASSET_POCKETBASE_FIELDS: option(
    jsonObject(
      z.string('must give names of fields as text').min(1, 'must give names that are not empty'),
      FIELDS_EXAMPLE,
    ),
    '{}',
    `Names of the fields in the collection that differ from those of the contract, as JSON such as ${FIELDS_EXAMPLE}. Each of them must exist; see docs/pocketbase.md.`,
  ),
  ASSET_POCKETBASE_HIDDEN_FIELDS: option(
    names(),
    '',
    'Fields of the collection with legacy links, separated by commas: callers never see or write them. Each of them must exist. File fields are always hidden.',
  ),
  ASSET_POCKETBASE_DEFAULTS: option(
    jsonObject(z.json(), '{"secure_name":"-"}'),
    '{}',
    'Values for fields of new records that the upload does not set, as JSON such as {"secure_name":"-"}: for required fields that callers cannot fill, such as hidden ones.',
  ),
} as const satisfies Record<string, Option>;
