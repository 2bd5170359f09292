import { z } from 'zod';
import { option, type Option } from './option.ts';

/** A setting of a driver as one of the catalog that a move goes to. */
type NextName<Name> = Name extends `ASSET_${infer Rest}` ? `ASSET_NEXT_${Rest}` : never;

/** The name for the target of a move of a driver's setting. */
export function nextName<Name extends string>(name: Name): NextName<Name> {
  return name.replace(/^ASSET_/, 'ASSET_NEXT_') as NextName<Name>;
}

/** A text about settings of a catalog as one about the target of a move. */
export function inNextNames(text: string): string {
  return text.replaceAll(/\bASSET_(?=CATALOG|DATA_DIR|POSTGRES_|POCKETBASE_)/g, 'ASSET_NEXT_');
}

/** The settings of the target of a catalog move: each of `options` with NEXT_ in front. */
export function nextOptions<Options extends Readonly<Record<string, Option>>>(options: Options) {
  const next = Object.entries(options).map(([name, { schema, default: text, secret }]) => [
    nextName(name),
    option(schema, text, `${name} of the catalog that a move goes to.`, secret),
  ]);
  return {
    ASSET_NEXT_CATALOG: option(
      z.enum(['sqlite', 'postgres', 'pocketbase']).optional(),
      '',
      'Catalog that `asset-service catalog move` goes to: sqlite, postgres or pocketbase. By default none.',
    ),
    ...(Object.fromEntries(next) as {
      readonly [Name in keyof Options as NextName<Name>]: Options[Name];
    }),
  };
}
