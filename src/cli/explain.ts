import { ExplainedError } from '../config/explain.ts';
import { AssetError } from '../errors.ts';
import { SettingsError } from '../options/environment.ts';

/** What the clients reject with, as far as it is shown. They are loaded only where a command speaks to a service. */
interface ClientError extends Error {
  readonly code: string;
  readonly reason: string | undefined;
  readonly fieldViolations: readonly { readonly field: string; readonly description: string }[];
}

/**
 * An error for the person at the terminal: `CODE: REASON: message`, as far as there are a canonical code and a reason of the contract.
 * A stack is shown only for what nobody expected.
 */
export function explain(error: unknown): string {
  if (error instanceof SettingsError || error instanceof ExplainedError) return error.message;
  if (error instanceof AssetError) return `${error.reason}: ${error.message}`;
  if (!(error instanceof Error)) return String(error);
  if (isClientError(error)) return explainClientError(error);
  const { code } = error as { readonly code?: unknown };
  if (typeof code === 'string') {
    return error.message.startsWith(code) ? error.message : `${code}: ${error.message}`;
  }
  return error.stack ?? error.message;
}

function explainClientError({ code, reason, message, fieldViolations }: ClientError): string {
  const untold = fieldViolations.filter(({ description }) => !message.includes(description));
  const details = untold.map(({ field, description }) => `\n  ${field}: ${description}`).join('');
  return `${code}: ${reason === undefined ? '' : `${reason}: `}${message}${details}`;
}

function isClientError(error: Error): error is ClientError {
  return error.name === 'AssetClientError' && 'code' in error && 'fieldViolations' in error;
}
