import { z } from 'zod';

/** One setting of the service. */
export interface Option<Type extends z.ZodType = z.ZodType> {
  /** Parses the text of the environment; an unset variable gives the default. */
  readonly schema: Type;
  /** The default as text for documentation; empty if there is none. */
  readonly default: string;
  /** Meaning in one or two sentences. */
  readonly meaning: string;
  /** True if the value must never be shown. */
  readonly secret?: boolean;
}

/** Creates an {@link Option}. */
export function option<Type extends z.ZodType>(
  schema: Type,
  defaultText: string,
  meaning: string,
  secret = false,
): Option<Type> {
  return { schema, default: defaultText, meaning, secret };
}

/** Non-empty text. */
export const text = () => z.string().min(1);
/** A URL with one of these protocols. */
export const url = (protocol: RegExp) =>
  z.url({ protocol, error: 'must be a URL such as https://host:port' });
/** An http or https address without a final slash. Paths are added to it, so it has no query or fragment. */
export const http = () =>
  url(/^https?$/)
    .regex(/^[^?#]*$/, 'must be a URL without query or fragment')
    .transform((value) => value.replace(/\/+$/, ''));
/** `true` or `false`. */
export const flag = () => z.enum(['true', 'false']).transform((value) => value === 'true');
/** An integer within these bounds. */
export const count = (min: number, max: number) =>
  z.string().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(z.number().min(min).max(max));
/** A number of seconds within these bounds; converted to milliseconds. */
export const seconds = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+(\.\d+)?$/, 'must be a number of seconds')
    .transform(Number)
    .pipe(z.number().min(min).max(max))
    .transform((value) => value * 1000);
/** A number of bytes within these bounds, with an optional unit. */
export const bytes = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+(KiB|MiB|GiB)?$/, 'must be a number of bytes, or such as 8MiB')
    .transform((value) => {
      const unit = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[value.at(-3) ?? ''] ?? 1;
      return Number.parseInt(value, 10) * unit;
    })
    .pipe(z.number().min(min).max(max));
/** `host:port`; an IPv6 address has brackets. */
export const address = () =>
  z
    .string()
    .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'must be host:port')
    .transform((value) => {
      const at = value.lastIndexOf(':');
      return { host: value.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(value.slice(at + 1)) };
    })
    .refine(({ port }) => port <= 65_535, 'must have a port up to 65535');
/** `host:port`, or the path of a Unix socket, which starts with a slash. */
export const socketAddress = () =>
  z.union(
    [
      z
        .string()
        .regex(/^\//)
        .transform((path) => ({ path })),
      address().refine(({ port }) => port > 0, 'must have a port from 1 to 65535'),
    ],
    {
      error: 'must be host:port, or the path of a Unix socket',
    },
  );
/** Names separated by commas. */
export const names = () =>
  z.string().transform((value) =>
    value
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  );
/** A JSON object with values of this kind; `example` is shown in the error message. */
export const jsonObject = <Value extends z.ZodType>(value: Value, example: string) => {
  const wrong = `must be JSON such as ${example}`;
  return z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        context.addIssue(wrong);
        return z.NEVER;
      }
    })
    .pipe(z.record(z.string(), value, wrong));
};
