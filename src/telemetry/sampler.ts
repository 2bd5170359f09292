import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type Sampler,
} from '@opentelemetry/sdk-trace';

/**
 * The sampler in `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. By default the caller decides, and calls without a
 * trace are sampled.
 *
 * @param doubt - called with what is wrong with the variables
 */
export function samplerOf(
  environment: Readonly<Record<string, string | undefined>>,
  doubt: (text: string) => void,
): Sampler {
  const name = environment['OTEL_TRACES_SAMPLER'] || 'parentbased_always_on';
  const root = rootOf(name.replace(/^parentbased_/, ''), environment['OTEL_TRACES_SAMPLER_ARG'], doubt);
  if (root === undefined) {
    doubt(`OTEL_TRACES_SAMPLER: ${name} is not supported: parentbased_always_on is used`);
    return new ParentBasedSampler({ root: new AlwaysOnSampler() });
  }
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function rootOf(
  name: string,
  argument: string | undefined,
  doubt: (text: string) => void,
): Sampler | undefined {
  if (name === 'always_on') return new AlwaysOnSampler();
  if (name === 'always_off') return new AlwaysOffSampler();
  if (name !== 'traceidratio') return undefined;
  const ratio = Number(argument || 1);
  if (ratio >= 0 && ratio <= 1) return new TraceIdRatioBasedSampler(ratio);
  doubt(`OTEL_TRACES_SAMPLER_ARG: ${argument} is no number from 0 to 1: all calls are traced`);
  return new TraceIdRatioBasedSampler(1);
}
