/** A value that views subscribe to, such as the selection or the trace. */

export interface Store<T extends object> {
  get(): T;
  /** Changes some fields and notifies the listeners once, if one of them has a different value. */
  set(change: Partial<T>): void;
  subscribe(listener: (now: T, before: T) => void): void;
}

export function createStore<T extends object>(initial: T): Store<T> {
  let value = initial;
  const listeners: ((now: T, before: T) => void)[] = [];
  return {
    get: () => value,
    set(change) {
      const before = value;
      const keys = Object.keys(change) as (keyof T)[];
      if (keys.every((key) => Object.is(change[key], before[key]))) return;
      value = { ...before, ...change };
      for (const listener of listeners) listener(value, before);
    },
    subscribe: (listener) => void listeners.push(listener),
  };
}
