/** Requests, and how many of them failed. */
export interface Sample {
  readonly requests: number;
  readonly errors: number;
}

/** ln n!, by Stirling's series where it is exact to 12 digits. */
function lnFactorial(n: number): number {
  if (n < 30)
    return Math.log(Array.from({ length: n }, (_, index) => index + 1).reduce((product, each) => product * each, 1));
  const x = n + 1;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x ** 3);
}

const lnChoose = (n: number, k: number) => lnFactorial(n) - lnFactorial(k) - lnFactorial(n - k);

/**
 * The chance that so many of all failures, or more, fall on `a` if `a` and `b` fail equally often: Fisher's exact test,
 * one-sided. Exact for few requests too, where a rate says little. 1 when `a` is no worse.
 * Source: R. A. Fisher, "The Design of Experiments", 1935.
 */
export function worse(a: Sample, b: Sample): number {
  const all = a.requests + b.requests;
  const errors = a.errors + b.errors;
  if (a.errors * all <= errors * a.requests) return 1;
  let chance = Math.exp(
    lnChoose(errors, a.errors) + lnChoose(all - errors, a.requests - a.errors) - lnChoose(all, a.requests),
  );
  let sum = 0;
  // Above the expected number each further failure is less likely than the one before.
  for (let k = a.errors; k <= Math.min(errors, a.requests) && chance > sum * 1e-15; k++) {
    sum += chance;
    chance *= ((errors - k) * (a.requests - k)) / ((k + 1) * (all - errors - a.requests + k + 1));
  }
  return Math.min(1, sum);
}
