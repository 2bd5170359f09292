import { ExplainedError } from '../config/explain.ts';
import { AssetError } from '../errors/asset-error.ts';
import { LeaseLost } from '../files/lease.ts';
import { SettingsError } from '../config/settings.ts';
import { isInterruption } from './interruptible.ts';

/** The parts of a client error that are shown. The clients are loaded only by commands that call a service. */
interface ClientError extends Error {
  readonly code: string;
  readonly reason: string | undefined;
  readonly fieldViolations: readonly { readonly field: string; readonly description: string }[];
}

/**
 * An error as text for people: `CODE: REASON: message`, if code and reason are known. Only unexpected errors show a
 * stack.
 */
export function explain(error: unknown): string {
  if (error instanceof SettingsError || error instanceof ExplainedError) return error.message;
  if (error instanceof AssetError) return `${error.reason}: ${error.message}`;
  if (!(error instanceof Error)) return String(error);
  if (isInterruption(error)) return error.message;
  // A wait that it ended has it as its cause.
  const lost = [error, error.cause].find((one) => one instanceof LeaseLost);
  if (lost) return lost.message;
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
