/** What every error of this lab is. */
export class KubernetesError extends Error {
  override readonly name: string = 'KubernetesError';
}

/** An argument from which nothing good can come: the message says which, and what to give instead. */
export class InvalidArgumentError extends KubernetesError {
  override readonly name = 'InvalidArgumentError';
}

/** The API server has not answered in time: whether it has done what it was asked is not known. */
export class RequestTimeoutError extends KubernetesError {
  override readonly name = 'RequestTimeoutError';

  constructor(url: string, timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms: ${url}`);
  }
}

/** A newer leader has written the object: whoever gets this is not the leader any more, and has changed nothing. */
export class StaleFenceError extends KubernetesError {
  override readonly name = 'StaleFenceError';
}

/** An object of this name is there, and another controller's, or nobody's: it is not ours to change. */
export class ForeignObjectError extends KubernetesError {
  override readonly name = 'ForeignObjectError';
}

/** The lease has not been renewed in time: a successor may begin at any moment. */
export class LeadershipLostError extends KubernetesError {
  override readonly name = 'LeadershipLostError';
}

/** Pods are left on the node: for a disruption budget, since they don't end, or since nobody would start them again. */
export class DrainBlockedError extends KubernetesError {
  override readonly name = 'DrainBlockedError';
  /** Names of the pods that are left, each with the API server's last word on it. */
  readonly left: ReadonlyMap<string, string>;

  constructor(node: string, left: ReadonlyMap<string, string>) {
    const pods = [...left].map(([pod, why]) => `${pod} (${why})`).join(', ');
    super(
      `${node} is cordoned, but not empty: ${pods}. Do what each reason asks for (more replicas, a looser budget, force), and drain it again.`,
    );
    this.left = left;
  }
}
