const MARK = 'needs a mongod';

/**
 * Why a law is skipped where a stand-in answers for MongoDB: `skip(mongo.standIn !== undefined, needsMongod('…'))`. No
 * registry has a mongod, so LABS_REQUIRE=all allows this skip, and no other.
 * @param what it is that only a mongod does
 */
export function needsMongod(what: string): string {
  return `${MARK}: ${what}`;
}

/** Whether a law was skipped for want of a mongod where a stand-in answered. */
export function beyondStandIn(reason: string): boolean {
  return reason.includes(MARK);
}
