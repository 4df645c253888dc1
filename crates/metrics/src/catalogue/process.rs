//! What every process has: by the names that Prometheus' clients share, as metrics-process measures
//! it; and its log.

use super::metrics;

metrics! {
    LOG_LINES_DROPPED = "brownie_log_lines_dropped_total", Counter of Count, [],
        "Log lines that were lost because what takes them was full, or too slow.";
    PROCESS_CPU = "process_cpu_seconds_total", Counter of Seconds, [],
        "Seconds of processor time that were used.";
    PROCESS_MAX_FDS = "process_max_fds", Gauge of Count, [],
        "The most files and sockets that may be open.";
    PROCESS_OPEN_FDS = "process_open_fds", Gauge of Count, [],
        "Files and sockets that are open.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Gauge of Bytes, [],
        "Memory in use.";
    PROCESS_START = "process_start_time_seconds", Gauge of Timestamp, [],
        "When the process was started.";
    PROCESS_THREADS = "process_threads", Gauge of Count, [],
        "Threads.";
    PROCESS_MAX_VIRTUAL = "process_virtual_memory_max_bytes", Gauge of Bytes, [],
        "The most address space there may be.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Gauge of Bytes, [],
        "Address space in use.";
}
