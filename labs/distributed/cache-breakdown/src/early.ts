/**
 * XFetch: shall this reader load the value anew although it is still good for `remainingMs`?
 *
 * Each reader throws dice: yes when −`loadMs` · `beta` · ln(random) reaches `remainingMs`. Far from the end nearly
 * nobody says yes, close to it nearly everybody; under a crowd the first yes comes while the value is still good, and
 * the sooner the longer a load takes. `beta` above 1 refreshes earlier; 0 never.
 * Source: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
 *
 * @param random uniform in [0, 1). Default `Math.random`.
 */
export function refreshEarly(
  remainingMs: number,
  loadMs: number,
  beta = 1,
  random: () => number = Math.random,
): boolean {
  // 1 − random lies in (0, 1]: ln 0 would refresh whatever remains.
  const aheadMs = -loadMs * beta * Math.log(1 - random());
  return beta > 0 && aheadMs >= remainingMs;
}
