export type Served = { path: string; from: string; bytes: number; wire: number; encoding: string };
export interface Events { served: Served; progress: {done:number,total:number,path?:string,bytes?:number,wire?:number,encoding?:string}; ready:{release:string}; offline:{}; online:{}; lie:{path:string,at:string}; passed:{path:string}; quota:{} }
export function on<K extends keyof Events>(type: K, told: (event: Events[K]) => void): () => void;
export function status(): Promise<{release:string,current:string,stored:number,bytes:number}|null>;
export function update(): Promise<void>;
