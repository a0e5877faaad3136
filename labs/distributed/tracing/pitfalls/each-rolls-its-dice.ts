// Flaw: every process draws a random number for itself, so a trace is kept in one and not in the next: pieces of waybills, hardly one whole.
// Seen in: https://github.com/getsentry/sentry-dart/issues/3052
// Caught by: a trace is kept by every process that meets it, or by none
import { type Sampler, SamplingDecision } from '@opentelemetry/sdk-trace';

export * from '../src/index.ts';

export function sampleTraces(ratio: number): Sampler {
  const shouldSample = () => ({
    decision: Math.random() < ratio ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD,
  });
  return { shouldSample, toString: () => `dice(${ratio})` };
}
