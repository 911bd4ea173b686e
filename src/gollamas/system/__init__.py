"""What the machine and the event loop are asked: descriptors, sockets, timers, tasks, words for errors."""
