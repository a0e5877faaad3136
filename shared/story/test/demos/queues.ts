/** Minutes that each customer waits; one comes every 1.2 minutes, to four counters. */
export function separateLines(work: readonly number[]): number[] {
  const free = [0, 0, 0, 0];
  return work.map((minutes, i) => {
    const arrival = i * 1.2;
    const began = Math.max(arrival, free[i % 4] ?? 0); // the line was chosen before anyone knew
    free[i % 4] = began + minutes;
    return Math.round(began - arrival);
  });
}

export function oneLine(work: readonly number[]): number[] {
  const free = [0, 0, 0, 0];
  return work.map((minutes, i) => {
    const arrival = i * 1.2;
    const next = free.indexOf(Math.min(...free));
    const began = Math.max(arrival, free[next] ?? 0);
    free[next] = began + minutes;
    return Math.round(began - arrival);
  });
}

export function at(waits: readonly number[], rank: number): number {
  return [...waits].sort((a, b) => a - b)[Math.floor(rank * (waits.length - 1))] ?? 0;
}

export function sampled(waits: readonly number[]): [number, number][] {
  return waits.map((wait, i): [number, number] => [i, wait]).filter((_, i) => i % 8 === 0);
}
