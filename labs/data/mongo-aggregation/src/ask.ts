import {
  type AggregateOptions,
  type AggregationCursor,
  BSON,
  type Document,
  MongoClientClosedError,
  MongoError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
} from 'mongodb';
import { AggregationError, LimitExceededError, PipelineRefusedError, ServerUnreachableError } from './errors.ts';

export interface AskOptions {
  /** Who aborts gets his own reason; the server is told to stop when it answers next. */
  readonly signal?: AbortSignal;
}

/** A collection, whatever its documents are. */
export interface Askable {
  aggregate<R extends Document>(
    stages: Document[],
    options: AggregateOptions & { signal?: AbortSignal | undefined },
  ): AggregationCursor<R>;
}

const UNREACHABLE = [
  MongoNetworkError,
  MongoServerSelectionError,
  MongoNotConnectedError,
  MongoTopologyClosedError,
  MongoClientClosedError,
  MongoOperationTimeoutError,
];

/** ExceededMemoryLimit, QueryExceededMemoryLimitNoDiskUseAllowed, BSONObjectTooLarge; $lookup, $graphLookup, $facet. */
const LIMITS = new Set<unknown>([146, 292, 10_334, 4_568, 40_099, 4_031_700]);

/**
 * Runs a pipeline and reads all that it answers. Stages that need more than 100 MB use the disk, where they can.
 * @throws PipelineRefusedError (LimitExceededError for memory and size), ServerUnreachableError, AggregationError for what
 *   the driver can't send, the signal's reason
 */
export function ask<R extends Document>(
  collection: Askable,
  stages: readonly Document[],
  { signal }: AskOptions = {},
): Promise<R[]> {
  return answer(
    () => collection.aggregate<R>([...stages], { allowDiskUse: true, ...(signal && { signal }) }).toArray(),
    signal,
  );
}

/** The driver's answer, or its error as one of ours; or the signal's reason, also where the driver takes no signal. */
export async function answer<R>(command: () => Promise<R>, signal?: AbortSignal): Promise<R> {
  signal?.throwIfAborted();
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal?.reason);
  signal?.addEventListener('abort', leave);
  try {
    return await Promise.race([command(), left.promise]);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof Error && (UNREACHABLE.some((kind) => error instanceof kind) || 'syscall' in error)) {
      throw new ServerUnreachableError(error); // with a syscall: the socket's own error, which the driver lets through
    }
    if (error instanceof MongoServerError) {
      throw LIMITS.has(error.code) ? new LimitExceededError(error) : new PipelineRefusedError(error);
    }
    if (error instanceof MongoError || error instanceof BSON.BSONError)
      throw new AggregationError(`The driver refused: ${error.message}`, { cause: error });
    throw error;
  } finally {
    signal?.removeEventListener('abort', leave);
  }
}
