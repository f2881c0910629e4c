//! THIS MACHINE. Mounts, holders, shares, services, addresses, and the assets that change hands.
