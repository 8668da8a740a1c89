export type Shape = readonly number[];
