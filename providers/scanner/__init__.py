"""Who looks for malware in files: `MalwareScanner` over ClamAV."""
