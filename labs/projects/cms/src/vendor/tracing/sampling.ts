import { inspect } from 'node:util';
import { isSpanContextValid, TraceFlags, trace } from '@opentelemetry/api';
import { type Sampler, SamplingDecision } from '@opentelemetry/sdk-trace';
import { InvalidArgumentError } from './errors.ts';

/** Hex digits of a trace id that are looked at: 52 of the 56 bits that are random (W3C Trace Context, level 2). */
const DIGITS = 13;

/** Whether a trace of this id is kept, by anybody who asks: no random number, so no two processes disagree. */
export function isChosen(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-DIGITS), 16) < ratio * 16 ** DIGITS;
}

/**
 * Head sampling: who starts a trace decides by its id, and everybody after him does as the sampled flag says, so that a
 * trace is kept whole or not at all. A trace that is kept at one ratio is kept at every higher one.
 *
 * @param ratio share of traces that are kept, 0 to 1.
 * @throws InvalidArgumentError on another ratio.
 */
export function sampleTraces(ratio: number): Sampler {
  if (typeof ratio !== 'number' || !(ratio >= 0 && ratio <= 1)) {
    throw new InvalidArgumentError(`The ratio must be a number from 0 to 1; it is ${inspect(ratio)}.`);
  }
  return {
    shouldSample(parent, traceId) {
      const above = trace.getSpanContext(parent);
      const kept =
        above && isSpanContextValid(above) ? (above.traceFlags & TraceFlags.SAMPLED) !== 0 : isChosen(traceId, ratio);
      return { decision: kept ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD };
    },
    toString: () => `sampleTraces(${ratio})`,
  };
}
