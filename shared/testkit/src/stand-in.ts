const MARKS = ['needs a mongod', 'needs a Python'];

/**
 * Why a law is skipped where a stand-in answers for MongoDB: `skip(mongo.standIn !== undefined, needsMongod('…'))`. No
 * registry has a mongod, so LABS_REQUIRE=all allows this skip, that of `needsPython`, and no other.
 * @param what it is that only a mongod does
 */
export function needsMongod(what: string): string {
  return `needs a mongod: ${what}`;
}

/**
 * Why a law that has a Python program as its other side is skipped: none of the house's own machines need have one.
 * @param module what `python3` has to import
 */
export function needsPython(module: string): string {
  return `needs a Python that has ${module}: pip install ${module}`;
}

/**
 * Whether a law may be skipped for this reason: any will do, but where everything must be at hand (LABS_REQUIRE=all, as in
 * CI) only what no machine need have.
 */
export function maySkip(reason: string): boolean {
  return process.env['LABS_REQUIRE'] !== 'all' || MARKS.some((mark) => reason.includes(mark));
}
