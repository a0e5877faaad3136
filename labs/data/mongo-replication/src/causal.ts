import { BSON, type ClientSession, type MongoClient, Timestamp } from 'mongodb';
import { CausalTokenError } from './errors.ts';

const LONGEST = 1_024;

/**
 * The moment up to which this session has seen the data, as a text for whoever reads next: another process, or the same
 * user's next request. Ask for it after the write.
 *
 * It holds the session's operation time and the cluster's time, which is signed where there is authentication: hand it on
 * as it is. It is for your own services; in a browser it belongs into a signed cookie.
 * @throws CausalTokenError as long as nothing was done in the session
 */
export function causalToken({ operationTime, clusterTime }: ClientSession): string {
  if (operationTime === undefined || clusterTime === undefined) {
    throw new CausalTokenError('Nothing was done in this session yet, or with a server that keeps no cluster time.');
  }
  return Buffer.from(BSON.serialize({ operationTime, clusterTime })).toString('base64url');
}

/**
 * A session that reads nothing older than what the tokens' sessions have seen, on whichever member it reads. End it with
 * `endSession()`.
 *
 * What was written with `w: 'majority'` and is read with read concern `majority` is then read for certain, through
 * elections too; with less, what was read may be rolled back.
 * Source: https://www.mongodb.com/docs/manual/core/causal-consistency-read-write-concerns/
 * @throws CausalTokenError for a text that is no token
 */
export function resumeCausal(client: MongoClient, ...tokens: readonly string[]): ClientSession {
  const moments = tokens.map(momentOf);
  const session = client.startSession({ causalConsistency: true });
  try {
    for (const { operationTime, clusterTime } of moments) {
      // A server refuses to wait for a time that it has not heard of: the cluster's time tells it.
      session.advanceClusterTime(clusterTime);
      session.advanceOperationTime(operationTime);
    }
    return session;
  } catch (cause) {
    session.endSession().catch(() => {});
    throw new CausalTokenError('The driver refuses the times of this token.', { cause });
  }
}

/** The cluster's time as its servers gossip it: `clusterTime`, and a signature. */
export type ClusterMoment = NonNullable<ClientSession['clusterTime']>;

/** The two times of a token. @throws CausalTokenError */
export function momentOf(token: string): { operationTime: Timestamp; clusterTime: ClusterMoment } {
  try {
    if (typeof token !== 'string' || token.length > LONGEST || !/^[\w-]+$/.test(token))
      throw new RangeError('not base64url of a fitting length');
    const { operationTime, clusterTime } = BSON.deserialize(Buffer.from(token, 'base64url'), { promoteLongs: false });
    if (!(operationTime instanceof Timestamp) || !isClusterMoment(clusterTime)) throw new RangeError('no such times');
    return { operationTime, clusterTime };
  } catch (cause) {
    throw new CausalTokenError(`${JSON.stringify(String(token).slice(0, 40))} is no causal token.`, { cause });
  }
}

/** The signature is the server's affair; one that was changed is refused there. */
function isClusterMoment(value: unknown): value is ClusterMoment {
  return (
    typeof value === 'object' && value !== null && 'clusterTime' in value && value.clusterTime instanceof Timestamp
  );
}
